//! The workflow file: findings, dependencies, conversion.

#[cfg(test)]
mod conversion;
#[cfg(test)]
mod findings;
