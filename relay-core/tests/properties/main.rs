//! Properties of values and expressions that hold for any input.

#[cfg(test)]
mod expressions;
#[cfg(test)]
mod language;
#[cfg(test)]
mod values;
