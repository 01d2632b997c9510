//! The stage of the demo: a throw-away folder with a KMSS home, one token, two keys and their certificates.

use crate::error::Error;
use crate::packages::is_root;
use crate::process::Job;
use crate::project::{Products, Project, create_folder, read, write};
use std::cell::RefCell;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The token's label.
pub(super) const TOKEN: &str = "demo";
/// The RSA key that the web server uses.
pub(super) const WEB: &str = "web";
/// The EC key that signs files.
pub(super) const SIGNER: &str = "signer";
/// Its CKA_ID; pkcs11-tool finds keys to sign with by nothing else.
pub(super) const SIGNER_ID: &str = "02";

/// Everything the steps share.
pub(super) struct Scene<'p> {
    project: &'p Project,
    products: Products,
    folder: TempDir,
    pin: String,
    so_pin: String,
    /// Signatures that the clients were seen to make, by key.
    signatures: RefCell<Vec<&'static str>>,
    kept: bool,
}

impl<'p> Scene<'p> {
    /// Makes the folder. The web server's workers have to reach what lies in it.
    pub(super) fn open(project: &'p Project, products: Products) -> Result<Scene<'p>, Error> {
        let folder = tempfile::Builder::new().prefix("kmss-demo-").tempdir();
        let folder = folder.map_err(Error::file("create", &std::env::temp_dir()))?;
        let readable = std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755));
        readable.map_err(Error::file("open up", folder.path()))?;
        let (pin, so_pin) = (random_pin()?, random_pin()?);
        Ok(Scene { project, products, folder, pin, so_pin, signatures: RefCell::default(), kept: false })
    }

    /// A file of this name in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The shared object.
    pub(super) fn module(&self) -> &Path {
        &self.products.module
    }

    /// The user PIN.
    pub(super) fn pin(&self) -> &str {
        &self.pin
    }

    /// A PKCS#11 URI of one of the keys.
    pub(super) fn uri(key: &str, kind: &str) -> String {
        format!("pkcs11:token={TOKEN};object={key};type={kind}")
    }

    /// For checks that the user asks us to stop.
    pub(super) fn project(&self) -> &Project {
        self.project
    }

    /// A client that finds the home through its environment, run in the folder.
    pub(super) fn client(&self, program: &str) -> Job {
        // nginx lives in /usr/sbin, which users do not always have in their path.
        let path = std::env::var("PATH").unwrap_or_default();
        self.project
            .job(program)
            .dir(self.folder.path())
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .env("KMSS_HOME", self.file("home"))
            .without_env("KMSS_CONF")
            .limit_seconds(120)
    }

    /// The `kmss` command, with both PINs in its environment.
    pub(super) fn kmss(&self, args: &[&str]) -> Job {
        let job = self.client(&self.products.command.to_string_lossy());
        job.env("KMSS_PIN", &self.pin).env("KMSS_SO_PIN", &self.so_pin).args(args)
    }

    /// Plain OpenSSL, which knows nothing of the token: whoever verifies needs no KMSS.
    pub(super) fn plain_openssl(&self, args: &[&str]) -> Job {
        self.client("openssl").env("OPENSSL_CONF", "/dev/null").args(args)
    }

    /// Remembers a signature, for the comparison with the audit trail.
    pub(super) fn signed(&self, key: &'static str) {
        self.signatures.borrow_mut().push(key);
    }

    /// How many signatures were made with this key so far.
    pub(super) fn signatures(&self, key: &str) -> usize {
        self.signatures.borrow().iter().filter(|&&name| name == key).count()
    }

    /// Leaves the folder in place.
    pub(super) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
        self.kept = true;
    }

    /// What the user may want to know at the end.
    pub(super) fn farewell(&self) -> String {
        let folder = self.folder.path();
        if !self.kept {
            return "  nginx is stopped and the home is removed; `--keep` leaves the home in place\n".to_owned();
        }
        format!(
            "  nginx is stopped; the rest is kept in {0}\n  look around with:\n    export KMSS_HOME={0}/home KMSS_PIN={1} \
             KMSS_SO_PIN={2}\n    {3} key list --token {TOKEN}\n    {3} audit tail\n",
            folder.display(),
            self.pin,
            self.so_pin,
            self.products.command.display()
        )
    }

    /// Step 1.
    pub(super) fn make_token(&self) -> Result<Vec<String>, Error> {
        let mut shown = Vec::new();
        if is_root() {
            self.kmss(&["home", "init", "--group", "www-data"]).run()?;
            shown.push("a home of root and group www-data, for the workers of nginx".to_owned());
        } else {
            self.kmss(&["home", "init"]).run()?;
            shown.push("a home of your own (not root: nginx and its workers will run as you)".to_owned());
        }
        self.kmss(&["token", "init", TOKEN]).run()?;
        shown.push(format!("token `{TOKEN}` with a user PIN and an SO PIN made for this run"));
        Ok(shown)
    }

    /// Step 2.
    pub(super) fn make_keys(&self) -> Result<Vec<String>, Error> {
        let kinds = [(WEB, "rsa:2048", "01"), (SIGNER, "ec:p256", SIGNER_ID)];
        let mut shown = Vec::new();
        for (name, kind, id) in kinds {
            self.kmss(&["key", "generate", name, "--token", TOKEN, "--type", kind, "--id", id]).run()?;
            shown.push(format!("`{name}`, {kind}: made inside the token, never leaves it"));
        }
        Ok(shown)
    }

    /// Step 3. The certificates are signed with the token's keys.
    pub(super) fn make_certificates(&self) -> Result<Vec<String>, Error> {
        let mut shown = Vec::new();
        for (key, host) in [(WEB, "localhost"), (SIGNER, "signer.example")] {
            let file = format!("{key}.crt");
            let subject = format!("CN={host}");
            let args =
                ["cert", "self-sign", key, "--token", TOKEN, "--subject", &subject, "--dns", host, "--out", &file];
            self.kmss(&args).run()?;
            // Self-signed: it is its own anchor, and OpenSSL checks its signature.
            self.plain_openssl(&["verify", "-check_ss_sig", "-CAfile", &file, &file]).run()?;
            let public = self.plain_openssl(&["x509", "-in", &file, "-noout", "-pubkey"]).run()?.stdout;
            write(&self.file(&format!("{key}.pub")), &public)?;
            shown.push(format!("`{subject}` for `{key}`, signed by the key itself; OpenSSL verifies it"));
        }
        Ok(shown)
    }

    /// The message that the clients sign.
    pub(super) fn message(&self) -> Result<&'static str, Error> {
        let name = "message.txt";
        write(&self.file(name), "The key that signed this never left KMSS.\n")?;
        Ok(name)
    }

    /// Makes a folder in ours.
    pub(super) fn make_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.file(name);
        create_folder(&path)?;
        Ok(path)
    }

    /// Writes a file that holds a PIN: only its owner reads it.
    pub(super) fn write_secret(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.file(name);
        write(&path, "")?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(Error::file("protect", &path))?;
        write(&path, text)?;
        Ok(path)
    }

    /// Reads a file of ours, as far as there is one.
    pub(super) fn read_log(&self, name: &str) -> String {
        read(&self.file(name)).unwrap_or_default()
    }
}

/// Eight digits; this run's alone.
fn random_pin() -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 8];
    let mut source = std::fs::File::open(path).map_err(Error::file("open", path))?;
    source.read_exact(&mut bytes).map_err(Error::file("read", path))?;
    Ok(bytes.iter().map(|byte| char::from(b'0' + byte % 10)).collect())
}
