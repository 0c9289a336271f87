//! What runs beside a step.
//!
//! A step is somebody's program. Around it stand three things, and this crate is all three:
//!
//! - [`client`]: the metadata API as the step sees it;
//! - [`entrypoint`]: starts the program when its turn has come, with its environment, and
//!   reports how it ended;
//! - [`ni`]: the command with which scripts read their specification and set outputs.
//!
//! [`pod`] is the program that an operator copies into every pod; it is made of the above.
//! The crate is small for that reason, and knows neither Kubernetes nor a web server.
//!
//! Everything but [`pod`] can be called many times at once in one process: there is no global
//! state, nobody changes the environment of the process or installs signal handlers.
//!
//! ```
//! use relay_tools::entrypoint::{Ended, Entrypoint, Invocation};
//! use tokio::sync::mpsc;
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let step = Entrypoint::new(Invocation::new("/bin/sh", ["-c", "echo hello; exit 3"]));
//! let (output, mut chunks) = mpsc::channel(8);
//! let ended = step.run(output, CancellationToken::new()).await?;
//! assert_eq!(ended, Ended::Exited { code: 3 });
//! assert_eq!(chunks.recv().await.map(|chunk| chunk.bytes), Some("hello\n".into()));
//! # Ok(())
//! # }
//! ```
//!
//! The sequence on the wire, with a metadata API:
//!
//! ```text
//! PUT /status (evaluating) ─▶ GET /conditions … ─▶ PUT /status (satisfied) ─▶ GET /environment
//!     ─▶ POST /validate ─▶ the program runs ─▶ PUT /status (exit code)
//! ```

pub mod client;
pub mod entrypoint;
pub mod ni;
pub mod pod;
