//! Ring 3: the built program against the API server of `$KUBECONFIG`, with the operator's controllers
//! in this process and an executor in the place of Tekton.

#[cfg(test)]
mod program;
#[cfg(test)]
#[expect(dead_code, reason = "the tests of `relay run` need more of it")]
#[path = "../cli/pty.rs"]
mod pty;
#[cfg(test)]
mod world;
