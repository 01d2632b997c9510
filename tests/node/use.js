// What Node.js programs do with a token by way of pkcs11js: MODULE TOKEN PIN, with the key pairs `rsa1` and `ec1`.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const p = require(require.resolve("pkcs11js", { paths: [process.cwd()] }));

const MESSAGE = Buffer.from("what JavaScript signs in the token");
const [modulePath, label, pin] = process.argv.slice(2);
const lib = new p.PKCS11();

function find(session, name, ofClass) {
  lib.C_FindObjectsInit(session, [{ type: p.CKA_CLASS, value: ofClass }, { type: p.CKA_LABEL, value: name }]);
  const found = lib.C_FindObjects(session, 2);
  lib.C_FindObjectsFinal(session);
  assert.equal(found.length, 1, `one ${name}`);
  return found[0];
}

function refused(code, action) {
  assert.throws(action, (error) => error.code === code, `0x${code.toString(16)} was not returned`);
}

/** The public key of a pair, as Node.js's own OpenSSL takes it. */
function publicKey(session, name) {
  const object = find(session, name, p.CKO_PUBLIC_KEY);
  const read = (...types) => lib.C_GetAttributeValue(session, object, types.map((type) => ({ type }))).map((a) => a.value);
  if (name.startsWith("rsa")) {
    const [n, e] = read(p.CKA_MODULUS, p.CKA_PUBLIC_EXPONENT).map((value) => value.toString("base64url"));
    return crypto.createPublicKey({ format: "jwk", key: { kty: "RSA", n, e } });
  }
  // A DER OCTET STRING around 04, x and y.
  const point = read(p.CKA_EC_POINT)[0].subarray(3);
  const [x, y] = [point.subarray(0, 32), point.subarray(32)].map((value) => value.toString("base64url"));
  return crypto.createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x, y } });
}

function signs(session) {
  const pss = { type: p.CK_PARAMS_RSA_PSS, hashAlg: p.CKM_SHA256, mgf: p.CKG_MGF1_SHA256, saltLen: 32 };
  const rsa = publicKey(session, "rsa1");
  const ways = [
    ["rsa1", { mechanism: p.CKM_SHA256_RSA_PKCS }, { key: rsa }],
    ["rsa1", { mechanism: p.CKM_SHA256_RSA_PKCS_PSS, parameter: pss }, { key: rsa, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }],
    ["ec1", { mechanism: p.CKM_ECDSA_SHA256 }, { key: publicKey(session, "ec1"), dsaEncoding: "ieee-p1363" }],
  ];
  for (const [name, mechanism, judge] of ways) {
    lib.C_SignInit(session, mechanism, find(session, name, p.CKO_PRIVATE_KEY));
    const signature = lib.C_Sign(session, MESSAGE, Buffer.alloc(512));
    assert(crypto.verify("sha256", MESSAGE, judge, signature), `${name} convinces Node.js`);
    lib.C_VerifyInit(session, mechanism, find(session, name, p.CKO_PUBLIC_KEY));
    assert(lib.C_Verify(session, MESSAGE, signature));
  }
}

function seals(session) {
  const template = [{ type: p.CKA_CLASS, value: p.CKO_SECRET_KEY }, { type: p.CKA_VALUE_LEN, value: 32 }, { type: p.CKA_TOKEN, value: false }];
  const key = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, template);
  const parameter = { type: p.CK_PARAMS_AES_GCM, iv: Buffer.alloc(12), aad: Buffer.from("aad"), tagBits: 128 };
  const gcm = { mechanism: p.CKM_AES_GCM, parameter };
  lib.C_EncryptInit(session, gcm, key);
  const sealed = lib.C_Encrypt(session, MESSAGE, Buffer.alloc(128));
  lib.C_DecryptInit(session, gcm, key);
  assert(lib.C_Decrypt(session, sealed, Buffer.alloc(128)).equals(MESSAGE));
  sealed[0] ^= 1;
  lib.C_DecryptInit(session, gcm, key);
  refused(p.CKR_ENCRYPTED_DATA_INVALID, () => lib.C_Decrypt(session, sealed, Buffer.alloc(128)));
  const cbc = { mechanism: p.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) };
  lib.C_EncryptInit(session, cbc, key);
  const parts = [lib.C_EncryptUpdate(session, MESSAGE, Buffer.alloc(128)), lib.C_EncryptFinal(session, Buffer.alloc(64))];
  lib.C_DecryptInit(session, cbc, key);
  assert(lib.C_Decrypt(session, Buffer.concat(parts), Buffer.alloc(128)).equals(MESSAGE));
}

function agrees(session) {
  const parameters = Buffer.from("06082a8648ce3d030107", "hex");
  const ours = lib.C_GenerateKeyPair(
    session,
    { mechanism: p.CKM_EC_KEY_PAIR_GEN },
    [{ type: p.CKA_TOKEN, value: false }, { type: p.CKA_EC_PARAMS, value: parameters }],
    [{ type: p.CKA_TOKEN, value: false }, { type: p.CKA_DERIVE, value: true }],
  );
  const theirs = crypto.createECDH("prime256v1");
  const parameter = { type: p.CK_PARAMS_EC_DH, kdf: p.CKD_NULL, publicData: theirs.generateKeys() };
  const secret = lib.C_DeriveKey(session, { mechanism: p.CKM_ECDH1_DERIVE, parameter }, ours.privateKey, [
    { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
    { type: p.CKA_KEY_TYPE, value: p.CKK_GENERIC_SECRET },
    { type: p.CKA_SENSITIVE, value: false },
    { type: p.CKA_EXTRACTABLE, value: true },
  ]);
  const value = (object, type) => lib.C_GetAttributeValue(session, object, [{ type }])[0].value;
  const point = value(ours.publicKey, p.CKA_EC_POINT).subarray(2);
  assert(value(secret, p.CKA_VALUE).equals(theirs.computeSecret(point)), "both sides agree");
}

/** Thirty signatures at once, each on a session of its own, in libuv's threads. */
async function atOnce(slot, session) {
  const [key, judge] = [find(session, "rsa1", p.CKO_PRIVATE_KEY), publicKey(session, "rsa1")];
  const one = async (n) => {
    const own = lib.C_OpenSession(slot, p.CKF_SERIAL_SESSION);
    const message = Buffer.from(`message ${n}`);
    lib.C_SignInit(own, { mechanism: p.CKM_SHA256_RSA_PKCS }, key);
    const signature = await lib.C_SignAsync(own, message, Buffer.alloc(256));
    assert(crypto.verify("sha256", message, judge, signature));
    lib.C_CloseSession(own);
  };
  await Promise.all(Array.from({ length: 30 }, (_, n) => one(n)));
}

async function main() {
  lib.load(modulePath);
  lib.C_Initialize();
  const slot = lib.C_GetSlotList(true).find((each) => lib.C_GetTokenInfo(each).label.trim() === label);
  assert(lib.C_GetMechanismList(slot).includes(p.CKM_ECDSA));
  const session = lib.C_OpenSession(slot, p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION);
  refused(p.CKR_PIN_INCORRECT, () => lib.C_Login(session, p.CKU_USER, "wrong-pin"));
  lib.C_Login(session, p.CKU_USER, pin);
  refused(p.CKR_USER_ALREADY_LOGGED_IN, () => lib.C_Login(session, p.CKU_USER, pin));
  signs(session);
  seals(session);
  agrees(session);
  await atOnce(slot, session);
  lib.C_DigestInit(session, { mechanism: p.CKM_SHA256 });
  lib.C_DigestUpdate(session, MESSAGE);
  const digest = lib.C_DigestFinal(session, Buffer.alloc(32));
  assert(digest.equals(crypto.createHash("sha256").update(MESSAGE).digest()));
  lib.C_Logout(session);
  lib.C_CloseSession(session);
  lib.C_Finalize();
  lib.close();
  console.log("JavaScript is content");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
