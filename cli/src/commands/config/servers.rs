//! OpenSSL, and the servers that use it.

use super::{Facts, engine_path};

impl Facts {
    pub(super) fn openssl(&self) -> String {
        let Self { module, home, .. } = self;
        let (engine, uri) = (engine_path(), self.uri());
        format!(
            "\
# OpenSSL through Debian's engine (apt-get install libengine-pkcs11-openssl).
# 1. Save these lines as openssl-kmss.cnf:

openssl_conf = openssl_init

[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11_engine

[pkcs11_engine]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
init = 0

[req]
distinguished_name = distinguished_name

[distinguished_name]

# 2. Tell OpenSSL of the file, and the module of its home:
#      export OPENSSL_CONF=$PWD/openssl-kmss.cnf KMSS_HOME='{home}'
# 3. Sign (OpenSSL asks for the user PIN; or add ;pin-value=… or ;pin-source=file:/… to the URI):
#      openssl dgst -sha256 -engine pkcs11 -keyform engine -sign '{uri}' -out signature file
#      openssl req -new -engine pkcs11 -keyform engine -key '{uri}' -subj /CN=localhost -out request.pem
#
# With OpenSSL 3's pkcs11-provider instead of the engine, the section is:
#
#   [openssl_init]
#   providers = providers
#   [providers]
#   default = default_provider
#   pkcs11 = pkcs11_provider
#   [default_provider]
#   activate = 1
#   [pkcs11_provider]
#   module = pkcs11.so
#   pkcs11-module-path = {module}
#   activate = 1
"
        )
    }

    pub(super) fn nginx(&self) -> String {
        let Self { module, home, token, .. } = self;
        let (engine, uri) = (engine_path(), self.uri());
        format!(
            "\
# nginx through Debian's engine (apt-get install libengine-pkcs11-openssl).
# The home must admit the workers: make it with `kmss home init --group www-data`.
# 1. Save these lines as /etc/nginx/openssl-kmss.cnf (mode 0600, owner root: it holds the PIN):

openssl_conf = openssl_init

[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11_engine

[pkcs11_engine]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
PIN = THE-USER-PIN
init = 0

# 2. At the top of nginx.conf (nginx scrubs the environment; these two lines keep what the module reads.
#    Instead of KMSS_HOME the file /etc/kmss/kmss.toml may say: home = \"{home}\"):

ssl_engine pkcs11;
env OPENSSL_CONF;
env KMSS_HOME;

# 3. In the server block:

ssl_certificate     /etc/nginx/{token}.crt;
ssl_certificate_key \"engine:pkcs11:{uri}\";

# 4. Start nginx with both variables (for systemd: `systemctl edit nginx`, then under [Service]):

Environment=OPENSSL_CONF=/etc/nginx/openssl-kmss.cnf
Environment=KMSS_HOME={home}

# With OpenSSL 3's pkcs11-provider instead of the engine: nginx 1.29.0 or newer only. Older ones cannot load a key by
# `store:` and use the engine, as above. In openssl-kmss.cnf the sections are:
#
#   openssl_conf = openssl_init
#   [openssl_init]
#   providers = providers
#   [providers]
#   default = default_provider
#   pkcs11 = pkcs11_provider
#   [default_provider]
#   activate = 1
#   [pkcs11_provider]
#   module = pkcs11.so
#   pkcs11-module-path = {module}
#   pkcs11-module-token-pin = THE-USER-PIN
#   activate = 1
#
# In nginx.conf the line `ssl_engine pkcs11;` goes, both `env` lines and the variables of 4. stay, and the key is:
#
#   ssl_certificate_key \"store:{uri}\";
"
        )
    }

    pub(super) fn apache(&self) -> String {
        let Self { module, home, token, .. } = self;
        let (engine, uri) = (engine_path(), self.uri());
        format!(
            "\
# Apache httpd 2.4.42 or newer through Debian's engine (apt-get install libengine-pkcs11-openssl).
# The home must admit the workers: make it with `kmss home init --group www-data`.
# 1. Save these lines as /etc/apache2/openssl-kmss.cnf (mode 0600, owner root: it holds the PIN):

openssl_conf = openssl_init

[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11_engine

[pkcs11_engine]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
PIN = THE-USER-PIN
init = 0

# 2. Append to /etc/apache2/envvars (apachectl reads it; instead of KMSS_HOME the file /etc/kmss/kmss.toml
#    may say: home = \"{home}\"):

export OPENSSL_CONF=/etc/apache2/openssl-kmss.cnf
export KMSS_HOME='{home}'

# 3. In the virtual host (a2enmod ssl):

SSLEngine on
SSLCertificateFile    /etc/apache2/{token}.crt
SSLCertificateKeyFile \"{uri}\"
"
        )
    }
}
