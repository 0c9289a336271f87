//! The case files of the expression language (`expressions.md`, "Case files"): ours, and those that
//! `RELAY_CASES` names, separated by `:`.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod evaluate;
#[cfg(test)]
mod status;
