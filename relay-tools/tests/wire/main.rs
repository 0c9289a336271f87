//! The crate through its public API, against a double of the metadata API on a real socket.

#[cfg(test)]
mod client;
#[cfg(test)]
mod double;
#[cfg(test)]
mod entrypoint;
#[cfg(test)]
mod invocation;
#[cfg(test)]
mod ni;
#[cfg(test)]
mod ni_files;
#[cfg(test)]
mod ni_git;
#[cfg(test)]
mod ni_requests;
#[cfg(test)]
mod pod;
#[cfg(test)]
mod program;
#[cfg(test)]
mod step;
#[cfg(test)]
mod tls;
