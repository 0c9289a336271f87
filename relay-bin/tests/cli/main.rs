//! The built programs, as people use them.

#[cfg(test)]
mod drawing;
#[cfg(test)]
mod eval;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod interrupt;
#[cfg(test)]
mod options;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod wrong_input;
