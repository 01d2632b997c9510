//! `cargo xtask demo`: the main job, shown with the programs that people run. Everything happens in a throw-away
//! folder, and everything that was started is stopped.

mod audit;
mod java;
mod nginx;
mod openssl;
mod pkcs11_tool;
mod policy;
mod scene;

use crate::error::Error;
use crate::packages;
use crate::progress::Progress;
use crate::project::Project;
use nginx::Nginx;
use scene::Scene;

/// How to show it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave the home, the certificates and the configurations in place, and say where they are
    #[arg(long)]
    keep: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Installs, builds, shows, sums up.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    packages::install(project, packages::DEMO)?;
    eprintln!("building the shared object and the `kmss` command");
    let products = project.build("dev")?;
    let mut scene = Scene::open(project, products)?;
    let mut progress = Progress::new();
    let result = play(&scene, &mut progress);
    if options.keep {
        scene.keep();
    }
    if matches!(result, Err(Error::Interrupted)) {
        eprintln!("\n{}", scene.farewell());
        return result;
    }
    if options.json {
        let text = serde_json::to_string_pretty(progress.steps());
        println!("{}", text.map_err(|source| Error::Json { what: "the summary", source })?);
    } else {
        println!("{}", progress.summary("KMSS: nginx, OpenSSL, Java and pkcs11-tool with keys that live in KMSS"));
        println!("{}", scene.farewell());
    }
    match progress.failures() {
        0 => Ok(()),
        n => Err(Error::check(format!("{n} of the steps above failed"))),
    }
}

/// The steps in order. Without the first three there is nothing to show; the others stand for themselves.
fn play(scene: &Scene<'_>, progress: &mut Progress) -> Result<(), Error> {
    progress.step("A home and a token", "making a home and a token", || scene.make_token())?;
    progress.step("Keys", "generating RSA and EC keys in the token", || scene.make_keys())?;
    progress.step("Certificates", "signing certificates inside the token", || scene.make_certificates())?;
    let trail = audit::Trail::begin(scene)?;

    progress.show("openssl dgst", "signing with openssl dgst", || openssl::sign_file(scene))?;
    progress.show("openssl req", "making a certificate request", || openssl::request(scene))?;
    let mut server = None;
    progress.show("nginx", "starting nginx with three workers", || {
        let nginx = Nginx::start(scene)?;
        let shown = nginx.serve()?;
        server = Some(nginx);
        Ok(shown)
    })?;
    progress.show("nginx -s reload", "reloading nginx under load", || running(&server)?.reload())?;
    progress.show("Java", "listing and signing in Java", || java::list_and_sign(scene))?;
    progress.show("pkcs11-tool", "signing with pkcs11-tool", || pkcs11_tool::sign(scene))?;
    progress.show("The audit trail", "reading and verifying the audit trail", || trail.show(scene))?;
    progress.show("A key is disabled", "disabling the key of the running server", || {
        audit::disable(scene, running(&server)?)
    })?;
    progress.show("A policy", "putting a policy in force under the running server", || {
        policy::apply(scene, running(&server)?)
    })
}

fn running<'a, 's>(server: &'a Option<Nginx<'s>>) -> Result<&'a Nginx<'s>, Error> {
    server.as_ref().ok_or_else(|| Error::check("nginx is not running"))
}
