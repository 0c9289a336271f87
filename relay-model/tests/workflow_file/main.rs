//! The workflow file: findings, dependencies, conversion.

#[cfg(test)]
mod codes;
#[cfg(test)]
mod conversion;
#[cfg(test)]
mod drawing;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod robustness;
