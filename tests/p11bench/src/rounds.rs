//! Measuring: the modules run in turns, and every figure becomes a row.

use crate::peer::Peer;
use crate::report::{self, Figures, Row, Table, Unit};
use crate::worker::{ColdResponse, Request, Response};
use crate::{plan, Cli, Item};
use serde_json::json;
use std::time::{Duration, Instant};

/// CPU seconds that the whole machine has been busy.
fn machine_busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> =
        stat.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|v| v.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&i| ticks.get(i)).sum();
    busy / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_string()
}

fn figures(peer: &Peer, r: &Response) -> Figures {
    let status = match r {
        r if r.error.is_empty() => "ok",
        r if r.unsupported => "n/a",
        _ => "error",
    };
    let note = if r.error.is_empty() { r.note.clone() } else { r.error.clone() };
    Figures { module: peer.name.clone(), note, status: status.into(), ..Default::default() }
}

/// Waits until others have left the machine alone for a moment, or for the deadline.
fn wait_quiet(deadline: Instant) {
    const MOMENT: Duration = Duration::from_millis(200);
    while Instant::now() < deadline {
        let busy = machine_busy();
        std::thread::sleep(MOMENT);
        if (machine_busy() - busy) / MOMENT.as_secs_f64() <= report::NOISY {
            return;
        }
    }
}

/// Every module that is set up runs once; also the worst load by others meanwhile.
fn one_round(cli: &Cli, peers: &mut [Peer], out: &[Figures]) -> (Vec<Option<Response>>, f64) {
    let mut foreign: f64 = 0.0;
    let mut run = |p: &mut Peer| {
        let (busy, clock) = (machine_busy(), Instant::now());
        let r = p.ask(Request::Run { seconds: cli.seconds });
        foreign = foreign.max((machine_busy() - busy - r.cpu_secs) / clock.elapsed().as_secs_f64());
        r
    };
    let round = peers.iter_mut().zip(out).map(|(p, f)| (f.status == "ok").then(|| run(p))).collect();
    (round, foreign)
}

fn timed(cli: &Cli, peers: &mut [Peer], name: &str, workload: &str, bytes: usize, threads: usize) -> Row {
    let mut out: Vec<Figures> = Vec::new();
    for p in peers.iter_mut() {
        let r = p.ask(Request::Setup { workload: workload.into(), threads });
        out.push(figures(p, &r));
    }
    let scale = if bytes > 0 { bytes as f64 / 1e6 } else { 1.0 };
    let mut foreign: f64 = 0.0;
    let deadline = Instant::now() + Duration::from_secs_f64(cli.wait_quiet);
    for _ in 0..cli.rounds {
        let (round, load) = loop {
            wait_quiet(deadline);
            let (round, load) = one_round(cli, peers, &out);
            if load <= report::NOISY || Instant::now() >= deadline {
                break (round, load);
            }
        };
        foreign = foreign.max(load);
        for ((f, p), r) in out.iter_mut().zip(peers.iter()).zip(round) {
            match r {
                Some(r) if r.error.is_empty() => {
                    f.switches_per_op = Some(r.switches as f64 / r.ops.max(1) as f64);
                    f.rounds.push(r.rate * scale);
                    f.cpu_rounds.push(r.ops as f64 / r.cpu_secs * scale);
                }
                Some(r) => *f = figures(p, &r),
                None => {}
            }
        }
    }
    for (p, f) in peers.iter_mut().zip(&out) {
        if f.status == "ok" {
            p.ask(Request::Teardown);
        }
    }
    Row::new(name, threads, if bytes > 0 { Unit::MBs } else { Unit::Ops }, cli.clock, out, foreign)
}

/// The row of the start without C_Login, and the row of C_Login.
fn cold(cli: &Cli, peers: &mut [Peer], name: &str) -> Vec<Row> {
    let mut out: Vec<Figures> = Vec::new();
    for p in peers.iter_mut() {
        let r = p.ask(Request::EnsureColdKey);
        out.push(figures(p, &r));
        p.stop();
    }
    let mut phases: Vec<Vec<(ColdResponse, f64)>> = vec![Vec::new(); peers.len()];
    // The first start of each only warms the page cache.
    for round in 0..=cli.cold_runs {
        for (i, p) in peers.iter().enumerate().filter(|(i, _)| out[*i].status == "ok").collect::<Vec<_>>() {
            match p.cold() {
                Ok(_) if round == 0 => {}
                Ok((r, wall)) => {
                    // C_Login is a price that is asked on purpose; it has its own row.
                    out[i].rounds.push((r.total - r.login) * 1e3);
                    out[i].cpu_rounds.push(r.cpu_secs * 1e3);
                    phases[i].push((r, wall));
                }
                Err(error) => out[i] = figures(p, &Response { error, ..Default::default() }),
            }
        }
    }
    for (f, all) in out.iter_mut().zip(&phases) {
        let ms =
            |get: fn(&ColdResponse) -> f64| report::median(&all.iter().map(|(r, _)| get(r) * 1e3).collect::<Vec<_>>());
        f.detail = json!({
            "dlopen_ms": ms(|r| r.dlopen), "initialize_ms": ms(|r| r.initialize), "open_session_ms": ms(|r| r.open_session),
            "login_ms": ms(|r| r.login), "find_ms": ms(|r| r.find), "sign_ms": ms(|r| r.sign), "finalize_ms": ms(|r| r.finalize),
            "process_wall_ms": report::median(&all.iter().map(|(_, w)| w * 1e3).collect::<Vec<_>>()),
            "peak_rss_kib": all.iter().map(|(r, _)| r.rss_kib).max(),
        });
    }
    let mut logins = out.clone();
    for (f, all) in logins.iter_mut().zip(&phases) {
        f.rounds = all.iter().map(|(r, _)| r.login * 1e3).collect();
        f.cpu_rounds = f.rounds.clone();
        f.detail = serde_json::Value::Null;
    }
    let login = name.replace("cold-start", "cold-login");
    vec![
        Row::new(name, 1, Unit::Ms, cli.clock, out, 0.0),
        Row::new(&login, 1, Unit::Ms, report::Clock::Wall, logins, 0.0),
    ]
}

fn populate(cli: &Cli, peers: &mut [Peer], name: &str, count: usize) -> Row {
    let mut out = Vec::new();
    for (at, p) in peers.iter_mut().enumerate() {
        let budget = cli.find_budget_vs.filter(|_| at > 0).unwrap_or(cli.find_budget);
        p.timeout = Duration::from_secs_f64(cli.timeout + budget);
        let r = p.ask(Request::Populate { count, budget });
        let mut f = figures(p, &r);
        if f.status == "ok" && r.ops > 0 {
            f.rounds = vec![r.rate];
            f.cpu_rounds = vec![r.ops as f64 / r.cpu_secs];
        }
        out.push(f);
    }
    Row::new(name, 1, Unit::Ops, cli.clock, out, 0.0)
}

pub fn bench(cli: &Cli, mut peers: Vec<Peer>) -> Result<(), String> {
    let items = plan(cli);
    if items.is_empty() {
        return Err("no workload selected (see --list)".into());
    }
    println!("load average at the start: {}", load_average());
    for p in &mut peers {
        let r = p.ask(Request::Info);
        if !r.error.is_empty() {
            return Err(format!("{}: {}", p.name, r.error));
        }
        println!("{}: {}", p.name, r.note);
    }
    let names: Vec<String> = peers.iter().map(|p| p.name.clone()).collect();
    let table = Table::new(&names);
    println!("\n{}", table.header());
    let mut rows: Vec<Row> = Vec::new();
    for item in &items {
        let made: Vec<Row> = match item {
            Item::Timed { name, workload, bytes } => {
                cli.threads.iter().map(|&t| timed(cli, &mut peers, name, workload, *bytes, t)).collect()
            }
            Item::Cold { name } => cold(cli, &mut peers, name),
            Item::Populate { name, count } => vec![populate(cli, &mut peers, name, *count)],
        };
        for row in made {
            println!("{}", table.row(&row));
            rows.push(row);
        }
        save(cli, &peers, &rows)?;
    }
    if items.iter().any(|i| !matches!(i, Item::Timed { .. })) && !cli.keep_objects {
        for p in &mut peers {
            let r = p.ask(Request::Cleanup { budget: cli.find_budget });
            for text in [&r.error, &r.note].into_iter().filter(|t| !t.is_empty()) {
                println!("cleanup of {}: {text}", p.name);
            }
        }
    }
    println!();
    for p in &mut peers {
        p.stop();
        println!("peak RSS of {}: {:.1} MiB", p.name, p.rss_kib as f64 / 1024.0);
    }
    println!("load average at the end: {}", load_average());
    save(cli, &peers, &rows)
}

fn save(cli: &Cli, peers: &[Peer], rows: &[Row]) -> Result<(), String> {
    let Some(file) = &cli.json else { return Ok(()) };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map(|l| l.trim_start_matches(['\t', ' ', ':']))
        .unwrap_or("?");
    let modules: Vec<_> = peers
        .iter()
        .map(|p| json!({ "name": p.name, "path": p.cfg.module, "about": p.about, "peak_rss_kib": p.rss_kib }))
        .collect();
    let all = json!({
        "p11bench": env!("CARGO_PKG_VERSION"), "cpu": model, "load_average": load_average(),
        "seconds": cli.seconds, "rounds": cli.rounds, "clock": cli.clock, "token_keys": cli.token_keys, "modules": modules, "rows": rows,
    });
    std::fs::write(file, serde_json::to_string_pretty(&all).unwrap()).map_err(|e| format!("{file}: {e}"))
}
