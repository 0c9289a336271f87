//! Ring 4: whole runs in pods, under the real Tekton.
//!
//! The cluster of `$KUBECONFIG` has Tekton and this engine installed, a node that runs pods, and
//! the image `$RELAY_TEST_IMAGE` with a shell. `.ci/tekton` makes one and runs this.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod workflow;
