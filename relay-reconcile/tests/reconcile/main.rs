//! The reconcilers against the in-memory API, with a double in Tekton's place.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod controller;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod extremes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod image;
#[cfg(test)]
mod interference;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leader;
#[cfg(all(test, not(debug_assertions)))]
mod load;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod requirements;
#[cfg(test)]
mod run;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod tekton;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tenant;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod world;
