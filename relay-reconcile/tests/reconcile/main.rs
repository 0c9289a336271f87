//! The reconcilers against the in-memory API, with a double in Tekton's place.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod controller;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leader;
#[cfg(test)]
mod requirements;
#[cfg(test)]
mod run;
#[cfg(test)]
mod tekton;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tenant;
#[cfg(test)]
mod world;
