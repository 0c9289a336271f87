//! The metadata API as a program (`metadata-api.md` §7).

mod cluster;
#[path = "../../listen.rs"]
mod listen;
mod options;
mod sample;
mod vault;

use std::error::Error as _;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use relay_metadata::{StepSchemas, TlsError, TlsFiles};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::options::{LogFormat, Options};

/// An answer is put together from many small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why the program ends, for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let started = start_log(&options).and_then(|()| {
        relay_metadata::log_panics();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure(format!("could not start: {error}")))?;
        runtime.block_on(serve(&options))
    });
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "process ended with error");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options) -> Result<(), Failure> {
    let stop = stop_signal()?;
    for variable in options::without_effect() {
        tracing::warn!(
            variable,
            "this has no effect: errors are reported to the log and to /metrics"
        );
    }
    let files = options.sample_files();
    let (mut router, pods, logs) = if files.is_empty() {
        let (router, pods, logs) = cluster::router(options).await?;
        (router, Some(pods), logs)
    } else {
        (sample::router(&files).await?, None, None)
    };
    router = router.with_trusted_hops(options.trusted_hops()?);
    if let Some(url) = options.step_metadata_url() {
        router = router.with_schemas(schemas(url.to_owned()).await?);
    }
    let (storing_ends, end) = oneshot::channel::<()>();
    let storing = logs.map(|logs| tokio::spawn(logs.run(async { drop(end.await) })));
    if let Some(port) = options.metrics_port()? {
        let (listener, addr) = listen(port).await?;
        tracing::info!(%addr, "listening for /metrics and /readyz");
        let metrics = router.metrics().router(pods);
        tokio::spawn(async move { axum::serve(listener, metrics).await });
    }
    let (listener, addr) = listen(options.port()?).await?;
    if let Some((certificate, key)) = options.tls()? {
        let failed = |error: TlsError| match error.source() {
            Some(source) => Failure(format!("{error}: {source}")),
            None => Failure(error.to_string()),
        };
        let files = TlsFiles::read(certificate, key).map_err(failed)?;
        let tls = files.tls();
        tokio::spawn(files.follow(router.metrics()));
        tracing::info!("listening with TLS");
        tracing::info!(%addr, "listening for metadata connections");
        router.serve_tls(listener, &tls, stop).await.map_err(failed)?;
    } else {
        tracing::info!(%addr, "listening for metadata connections");
        router.serve(listener, stop).await;
    }
    drop(storing_ends);
    if let Some(storing) = storing {
        drop(storing.await);
    }
    tracing::info!("stopped");
    Ok(())
}

/// The schemas of steps, which the first requests find where they come quickly.
async fn schemas(url: String) -> Result<StepSchemas, Failure> {
    const PATIENCE: Duration = Duration::from_secs(2);
    const MINIMUM_AGE: Duration = Duration::from_secs(300);
    let schemas = StepSchemas::default();
    let mut following = tokio::spawn({
        let schemas = schemas.clone();
        async move { schemas.follow(&url, MINIMUM_AGE).await }
    });
    tokio::select! {
        () = schemas.asked() => {}
        () = tokio::time::sleep(PATIENCE) => {}
        Ok(Err(error)) = &mut following => return Err(Failure(error.to_string())),
    }
    Ok(schemas)
}

async fn listen(port: u16) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure(format!("could not listen on port {port}: {error}"));
    let listener = listen::on_all(port).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    // The log names the one that all machines have.
    Ok((listener, (Ipv4Addr::UNSPECIFIED, port).into()))
}

/// Completes when the process is asked to end.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let on = |kind| signal(kind).map_err(|error| Failure(format!("could not start: {error}")));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut quit = on(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
        }
        tracing::info!("stopping: what was begun is finished first");
    })
}

/// Logs go to standard output, also what is wrong with the options.
fn start_log(options: &Options) -> Result<(), Failure> {
    let (debug, format) = (options.debug(), options.log_format());
    let level = if matches!(debug, Ok(true)) { "debug" } else { "info" };
    let filter =
        EnvFilter::try_from_env("RELAY_METADATA_API_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stdout);
    if matches!(format, Ok(LogFormat::Json)) {
        log.json().flatten_event(true).init();
    } else {
        log.with_ansi(false).init();
    }
    debug.and(format).map(|_| ())
}
