//! The built programs, as people use them.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod convert;
#[cfg(test)]
mod drawing;
#[cfg(test)]
mod eval;
#[cfg(test)]
mod events;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod input_files;
#[cfg(test)]
mod interrupt;
#[cfg(test)]
mod load;
#[cfg(test)]
mod ni;
#[cfg(test)]
mod options;
#[cfg(test)]
mod pty;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod validate;
#[cfg(test)]
mod wrong_input;
