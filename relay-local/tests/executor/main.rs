//! The executor through its public interface, on an API that is in memory.

#[cfg(test)]
mod cancel;
#[cfg(test)]
mod double;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod process;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod scene;
