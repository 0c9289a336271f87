//! Ring 3: the operator as it is installed, with the rights that `manifests/` give it, on a real
//! API server.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod load;
#[cfg(test)]
mod options;
#[cfg(test)]
mod process;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod world;
