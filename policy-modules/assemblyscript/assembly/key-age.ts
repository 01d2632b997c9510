// Keys have cryptoperiods (NIST SP 800-57 part 1 rev. 5, section 5.3.6): a secret key protects data for two years and
// reads it for three more, a signature key signs for three years. A month before the end the channel `key-rotation` is
// told. What is older is read by holders of the role `archivist` alone, who authenticate for each operation. RSA keys
// shorter than 3072 bits no longer protect anything. Verifying and what public keys do has no end.
//
// A key's age is that of its primary version: rotating makes it young again.

import { Action, Field, KeyType, action, allow, contains, deny, hasKey, isSessionKey, keyBits, keyCreated, keyType, notApplicable, open, respond, versionAge } from "./kmss";

export { kmss_abi, kmss_buf } from "./kmss";

const YOUNG: u32 = 1; // rule key-age.young
const SOON: u32 = 2; // rule key-age.rotate-soon
const ARCHIVE: u32 = 3; // rule key-age.archive
const OLD: u32 = 4; // rule key-age.expired: the cryptoperiod of this key is over: rotate it
const GONE: u32 = 5; // rule key-age.archivists-only: data under a key this old is read by archivists only
const SHORT: u32 = 6; // rule key-age.rsa-3072: RSA keys shorter than 3072 bits protect nothing new

const DAY: u64 = 86400000;
const YEAR: u64 = 365 * DAY;
const MONTH: u64 = 30 * DAY;

function isSecret(kind: u32): bool {
  return kind >= KeyType.AES && kind <= KeyType.HKDF;
}

// @ts-ignore: decorator
@inline
function protects(end: u64): i64 {
  if (keyType() == KeyType.RSA && keyBits() < 3072) return deny(SHORT);
  const age = versionAge();
  if (age >= end) return deny(OLD);
  if (age + MONTH < end) return allow(YOUNG);
  respond.begin();
  respond.notify("key-rotation");
  respond.auditTag("key-age");
  return allow(SOON, respond.end());
}

// @ts-ignore: decorator
@inline
function reads(): i64 {
  if (versionAge() < 5 * YEAR) return allow(YOUNG);
  if (!contains(Field.ROLES, "archivist")) return deny(GONE);
  respond.begin();
  respond.stepUp();
  respond.auditTag("archive");
  return allow(ARCHIVE, respond.end());
}

export function kmss_decide(length: i32): i64 {
  open(length);
  // Of keys that are about to exist, or live as long as their session, there is nothing to say.
  if (!hasKey() || isSessionKey() || keyCreated() == 0) return notApplicable();
  const secret = isSecret(keyType());
  switch (action()) {
    case Action.SIGN:
      return secret ? protects(2 * YEAR) : protects(3 * YEAR);
    case Action.ENCRYPT:
    case Action.WRAP:
    case Action.ENCAPSULATE:
    case Action.DERIVE:
      return protects(2 * YEAR);
    case Action.DECRYPT:
    case Action.UNWRAP:
    case Action.DECAPSULATE:
      return reads();
    case Action.VERIFY:
      return secret ? reads() : allow(YOUNG);
    default:
      return notApplicable();
  }
}
