//! kmssd: the services over TLS and a Unix socket, for the same home and the same pipeline as every other door.

mod admin;
mod answer;
mod approvals;
mod audit;
mod batch;
mod bridge;
mod call;
mod children;
mod compat;
mod config;
mod crypto;
mod dev;
mod devices;
mod domains;
mod gathered;
mod host;
mod jws;
mod key_rules;
mod keys;
mod lifecycle;
mod limits;
mod listen;
mod log;
mod making;
mod messages;
mod metrics;
mod namespaces;
mod notify;
mod numbers;
mod past;
mod peer;
mod policies;
mod queue;
mod random;
mod report;
mod requests;
mod route;
mod service;
mod shares;
mod stream;
mod tls;
mod tokens;
mod traces;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use libkmss::clock::{Clock, SystemClock};
use libkmss::config::Config;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::kms::Kms;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tower::util::BoxCloneSyncService;

use self::bridge::Bridge;
pub use self::config::{NamespaceConfig, ServerConfig};
pub use self::dev::dev;
use self::devices::Threads;
use self::host::Host;
use self::listen::Door;
pub use self::log::begin as begin_log;
use self::metrics::Metrics;
use self::requests::Requests;
use self::route::Router;
use self::service::Services;
use self::shares::{Attempts, Shares};
use self::tls::Tls;
use self::traces::Traces;
use crate::proto;

/// What every call has.
struct Server {
    host: Arc<Host>,
    config: ServerConfig,
    clock: Arc<dyn Clock>,
    bridge: Bridge,
    requests: Arc<Requests>,
    shares: Shares,
    /// Wrong PINs.
    attempts: Attempts,
    metrics: Arc<Metrics>,
    traces: Option<Traces>,
    /// Turns true when the server stops.
    stopping: watch::Sender<bool>,
}

impl Server {
    /// When a crossing that nobody gave a deadline is not worth its while any more.
    fn deadline(&self) -> Duration {
        self.clock.monotonic().saturating_add(self.config.max_deadline())
    }
}

/// Serves until the process is told to stop (SIGTERM, SIGINT), and until what came in by then is answered.
///
/// # Errors
/// [`ErrorKind::Config`] for what cannot be served; those of opening the home.
pub fn run(config: Config, server: ServerConfig) -> Result<()> {
    let workers = usize::try_from(server.workers).ok().filter(|n| *n > 0);
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.unwrap_or_else(cores))
        .max_blocking_threads(bridge::threads(&config, &server))
        .thread_name("kmssd")
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorKind::Memory, "the threads of the server cannot be made").with_source(e))?;
    let served = runtime.block_on(serve(config, server));
    // What still runs was cut off by the end of the drain.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: Config, server: ServerConfig) -> Result<()> {
    let cannot = |e| Error::new(ErrorKind::Internal, "signals cannot be waited for").with_source(e);
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(cannot)?, signal(SignalKind::interrupt()).map_err(cannot)?);
    audit::enable_compression();
    let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock::default()), Arc::new(Metrics::new()));
    libkmss::device::run_devices_with(Arc::new(Threads::new(Arc::clone(&metrics))));
    let missing = || Error::new(ErrorKind::NotFound, format!("there is no home at `{}`", config.home.display()));
    let kms = Kms::open_with(&config, crate::client::backends(&config)?)?.ok_or_else(missing)?;
    let bridge = Bridge::new(&config, &server, Arc::clone(&clock), metrics.overloaded.clone());
    let attempts = Attempts::new(config.pin.max_attempts, Arc::clone(&clock));
    let host = Arc::new(Host::open(kms, config, &server.namespaces)?);
    let tls = Tls::open(&server)?.map(Arc::new);
    let window = Duration::from_secs(server.request_window_s.into());
    let traces = Traces::open(&server, &metrics)?;
    let (stopping, stop) = watch::channel(false);
    let shared = Arc::new(Server {
        host: Arc::clone(&host),
        bridge,
        requests: Arc::new(Requests::new(window, server.request_window, Arc::clone(&clock))),
        shares: Shares::new(&server),
        attempts,
        metrics,
        traces,
        clock,
        stopping,
        config: server,
    });
    let (health, router) = services(&shared).await?;
    let (alive, mut last) = mpsc::channel::<()>(1);
    let door = Door::new(Arc::clone(&shared), router, &shared.config, stop, alive);
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(tls) = &tls {
        for address in &shared.config.listen {
            let listener = listen::tcp(*address).await?;
            tracing::info!(address = %listener.local_addr().unwrap_or(*address), "listening");
            tasks.spawn(door.clone().tcp(listener, Arc::clone(tls)));
        }
        tasks.spawn(watch_files(Arc::clone(tls), Arc::clone(&shared)));
    }
    let socket = match &shared.config.unix {
        Some(path) => {
            let (listener, socket) = listen::unix(path, shared.config.unix_mode)?;
            tracing::info!(path = %path.display(), "listening");
            tasks.spawn(door.clone().unix(listener));
            Some(socket)
        }
        None => None,
    };
    if let Some(address) = shared.config.metrics {
        tasks.spawn(metrics::serve(listen::tcp(address).await?, Arc::clone(&shared.metrics)));
    }
    tasks.spawn(forget(Arc::clone(&shared.requests)));
    if shared.config.lifecycle_s > 0 {
        tasks.spawn(lifecycle::watch(Arc::clone(&shared)));
    }
    drop(door);
    notify::say("READY=1");
    tracing::info!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify::say("STOPPING=1");
    tracing::info!("stopping");
    health.shutdown().await;
    shared.stopping.send_replace(true);
    let drain = Duration::from_secs(shared.config.drain_s.into());
    let until = shared.clock.monotonic().saturating_add(drain);
    // Nobody sends: it ends when the last connection is gone.
    let drained = tokio::time::timeout(drain, last.recv()).await.is_ok();
    if !drained {
        tracing::warn!("calls were cut off: they took longer than `drain_s`");
    }
    tasks.shutdown().await;
    drop(socket);
    if let Some(traces) = &shared.traces {
        traces.end(until.saturating_sub(shared.clock.monotonic())).await;
    }
    host.kms.close()?;
    tracing::info!(drained, "stopped");
    Ok(())
}

/// The health of the services, for those who watch it.
struct Health(tonic_health::server::HealthReporter);

/// Names of the services of the contract.
const NAMES: [&str; 7] = [
    "kmss.v1.KeyService",
    "kmss.v1.CryptoService",
    "kmss.v1.RandomService",
    "kmss.v1.AdminService",
    "kmss.v1.AuditService",
    "kmss.v1.ApprovalService",
    "kmss.v1.LifecycleService",
];

impl Health {
    /// Whoever balances load sends no more.
    async fn shutdown(&self) {
        for name in NAMES.into_iter().chain([""]) {
            self.0.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
        }
    }
}

async fn services(shared: &Arc<Server>) -> Result<(Health, Router)> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in NAMES {
        reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = |e| Error::new(ErrorKind::Internal, "the contract cannot be shown").with_source(e);
    let v1 = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(reflection)?;
    let all = Services(Arc::clone(shared));
    let most = usize::try_from(shared.config.max_message_bytes).unwrap_or(usize::MAX);
    macro_rules! limited {
        ($module:ident, $server:ident) => {
            BoxCloneSyncService::new(
                proto::$module::$server::new(all.clone())
                    .max_decoding_message_size(most)
                    .max_encoding_message_size(usize::MAX),
            )
        };
    }
    let routed = vec![
        ("kmss.v1.CryptoService", limited!(crypto_service_server, CryptoServiceServer)),
        ("kmss.v1.KeyService", limited!(key_service_server, KeyServiceServer)),
        ("kmss.v1.RandomService", limited!(random_service_server, RandomServiceServer)),
        ("kmss.v1.AdminService", limited!(admin_service_server, AdminServiceServer)),
        ("kmss.v1.AuditService", limited!(audit_service_server, AuditServiceServer)),
        ("kmss.v1.ApprovalService", limited!(approval_service_server, ApprovalServiceServer)),
        ("kmss.v1.LifecycleService", limited!(lifecycle_service_server, LifecycleServiceServer)),
        ("grpc.health.v1.Health", BoxCloneSyncService::new(health)),
        ("grpc.reflection.v1.ServerReflection", BoxCloneSyncService::new(v1)),
    ];
    Ok((
        Health(reporter),
        Router::new(routed, shared.config.max_deadline(), Arc::clone(&shared.clock), shared.traces.is_some()),
    ))
}

/// Forgets requests whose time is over.
async fn forget(requests: Arc<Requests>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        requests.forget();
    }
}

/// Looks at the certificates' files now and then.
async fn watch_files(tls: Arc<Tls>, shared: Arc<Server>) {
    let pace = Duration::from_secs(shared.config.reload_s.into());
    loop {
        tokio::time::sleep(pace).await;
        let tls = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || tls.look_again()).await {
            Ok(Ok(true)) => {
                shared.metrics.reloads.inc();
                tracing::info!("the certificates were read anew");
            }
            Ok(Err(e)) => {
                tracing::error!(reason = %e.sentence(), "the new certificates cannot be used: the old ones stay")
            }
            _ => {}
        }
    }
}
