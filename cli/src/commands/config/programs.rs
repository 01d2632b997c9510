//! Programs that load the module themselves, or through p11-kit.

use super::{Facts, escape, quote};

impl Facts {
    pub(super) fn java(&self) -> String {
        let Self { module, home, token, key, slot } = self;
        format!(
            "\
# Java (SunPKCS11). Save these lines as kmss-java.cfg:

name = KMSS
library = {module}
slot = {slot}
attributes = compatibility

# Set KMSS_HOME='{home}' for the JVM. Java shows only keys that have a certificate with the same CKA_ID:
#   kmss cert self-sign {key} --token '{token}' --subject CN=localhost
# List, and sign a jar (keytool asks for the user PIN as the key store password):
#   keytool -list -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg kmss-java.cfg
#   jarsigner -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg kmss-java.cfg app.jar {key}
"
        )
    }

    pub(super) fn ssh(&self) -> String {
        let Self { module, home, key, .. } = self;
        let module = quote(module);
        let home = quote(home);
        let key = quote(key);
        let token = quote(&self.token);
        format!(
            "\
# OpenSSH. It knows RSA, P-256, P-384 and P-521 keys of tokens, and finds a key by its public half.
# The module must find its home; agents and their helpers inherit this:
export KMSS_HOME={home}
# 1. The line for ~/.ssh/authorized_keys on the server (or all keys of all tokens: ssh-keygen -D {module}):
kmss key export-public {key} --token {token} --format ssh --out kmss-key.pub
# 2. Log in; ssh asks for the user PIN. With more than six keys the server hangs up before the right one is tried,
#    so name it:
ssh -o PKCS11Provider={module} -o IdentitiesOnly=yes -o IdentityFile=kmss-key.pub USER@HOST
# 3. Or let the agent hold the token (it loads modules from /usr/lib and /usr/local/lib only, unless it is told):
eval \"$(ssh-agent -P {module})\"
ssh-add -s {module}
"
        )
    }

    pub(super) fn gnutls(&self) -> String {
        let Self { module, home, .. } = self;
        let (module, home) = (quote(module), quote(home));
        let uri = self.uri();
        let certificate = format!("pkcs11:token={};object={};type=cert", escape(&self.token), escape(&self.key));
        let token = format!("pkcs11:token={}", escape(&self.token));
        format!(
            "\
# GnuTLS (apt-get install gnutls-bin). Its programs ask p11-kit for modules (`kmss config p11-kit`), or load this one
# where --provider names it. They take the user PIN from GNUTLS_PIN, else ask.
export KMSS_HOME={home}
# 1. What is in the token:
p11tool --provider={module} --login --list-all '{token}'
# 2. A certificate request:
certtool --provider={module} --generate-request --load-privkey '{uri}' --load-pubkey '{uri}' --outfile request.pem
# 3. A TLS server, with the certificate that `kmss cert self-sign` put beside the key:
gnutls-serv --provider={module} --port 4433 --x509keyfile '{uri}' --x509certfile '{certificate}'
"
        )
    }

    pub(super) fn nss(&self) -> String {
        let Self { module, home, .. } = self;
        let (module, home, token) = (quote(module), quote(home), quote(&self.token));
        format!(
            "\
# NSS (apt-get install libnss3-tools): Firefox, Thunderbird, Chromium, curl-nss. Each profile has a database of modules.
export KMSS_HOME={home}
# 1. Add the module to a database (Chromium's is ~/.pki/nssdb; Firefox's is its profile's folder). The program that
#    owns it must not be running:
DB=sql:$HOME/.pki/nssdb
modutil -force -dbdir \"$DB\" -add KMSS -libfile {module}
modutil -dbdir \"$DB\" -list KMSS
# 2. Certificates and keys (certutil asks for the user PIN, or reads it with -f FILE):
certutil -d \"$DB\" -h {token} -L
certutil -d \"$DB\" -h {token} -K
# 3. To take it out again:
modutil -force -dbdir \"$DB\" -delete KMSS
"
        )
    }

    pub(super) fn p11_kit(&self) -> String {
        let Self { module, home, .. } = self;
        let uri = format!("pkcs11:token={}", escape(&self.token));
        let (quoted, quoted_home) = (quote(module), quote(home));
        format!(
            "\
# p11-kit (apt-get install p11-kit). Save this as /etc/pkcs11/modules/kmss.module for everybody, or as
# ~/.config/pkcs11/modules/kmss.module for yourself; the Debian package of KMSS has done it already.

module: {module}

# Programs that ask p11-kit now see the tokens, provided that the module finds its home: export KMSS_HOME={quoted_home},
# or write `home = \"{home}\"` into /etc/kmss/kmss.toml (or ~/.config/kmss/kmss.toml). To see what they see:
#   p11-kit list-modules
# To lend the token to another user, a container or (through ssh -R) another machine:
#   p11-kit server --provider {quoted} '{uri}'
"
        )
    }

    pub(super) fn python(&self) -> String {
        // A string of JSON is a string of Python.
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let (module, home) = (text(&self.module), text(&self.home));
        let (token, key) = (text(&self.token), text(&self.key));
        format!(
            "\
# Python. With python-pkcs11 (pip install python-pkcs11):

import os
import pkcs11

os.environ.setdefault(\"KMSS_HOME\", {home})
library = pkcs11.lib({module})
token = library.get_token(token_label={token})
with token.open(user_pin=os.environ[\"KMSS_PIN\"]) as session:
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label={key})
    print(key.key_type, key.id.hex())
    signature = key.sign(b\"text\")  # the usual mechanism of its type; or mechanism=pkcs11.Mechanism.…
    print(signature.hex())

# With PyKCS11 (pip install PyKCS11):
#
#   import os, PyKCS11
#   library = PyKCS11.PyKCS11Lib()
#   library.load({module})
#   slot = next(s for s in library.getSlotList(True) if library.getTokenInfo(s).label.strip() == {token})
#   session = library.openSession(slot)
#   session.login(os.environ[\"KMSS_PIN\"])
#   key = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (PyKCS11.CKA_LABEL, {key})])[0]
"
        )
    }
}
