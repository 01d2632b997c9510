// Policies for KMSS in AssemblyScript. A policy is a file that exports
//
//     export { kmss_abi, kmss_buf } from "./kmss";
//     export function kmss_decide(length: i32): i64 { open(length); ... }
//
// The layout is that of docs/policy-abi.md. It fails closed: a request that is not laid out as that page says ends the
// decision in a trap, which the host takes for a deny. Nothing here allocates. A policy that writes to no memory is the
// fastest kind: responses that are always the same are constants (see tenant-rate.ts), others go through `respond`.

const SIZE: i32 = 16384;
const FIXED: i32 = 176;
const REQUEST: usize = memory.data(SIZE, 8);

export function kmss_abi(): i32 {
  return 1 << 16;
}

export function kmss_buf(): i32 {
  return <i32>REQUEST;
}

// Traps unless the host wrote a request of version 1 of this length.
export function open(length: i32): void {
  if (length < FIXED || length > SIZE || load<i32>(REQUEST, 4) != length || load<u16>(REQUEST, 2) != 1) unreachable();
}

// --- the request (section 2) ---

export namespace Action {
  export const FIND: u32 = 1;
  export const GENERATE: u32 = 2;
  export const IMPORT: u32 = 3;
  export const EXPORT: u32 = 4;
  export const SIGN: u32 = 5;
  export const VERIFY: u32 = 6;
  export const ENCRYPT: u32 = 7;
  export const DECRYPT: u32 = 8;
  export const WRAP: u32 = 9;
  export const UNWRAP: u32 = 10;
  export const DERIVE: u32 = 11;
  export const ENCAPSULATE: u32 = 12;
  export const DECAPSULATE: u32 = 13;
  export const DIGEST: u32 = 14;
  export const RANDOM: u32 = 15;
  export const MANAGE: u32 = 16;
  export const CHANGE_STATE: u32 = 17;
  export const DESTROY: u32 = 18;
  export const LOGIN: u32 = 19;
  export const LOGOUT: u32 = 20;
  export const SET_PIN: u32 = 21;
  export const INITIALIZE: u32 = 22;
}

export namespace KeyType {
  export const RSA: u32 = 1;
  export const EC: u32 = 2;
  export const EDWARDS: u32 = 3;
  export const MONTGOMERY: u32 = 4;
  export const SM2: u32 = 5;
  export const DH: u32 = 6;
  export const ML_DSA: u32 = 7;
  export const ML_KEM: u32 = 8;
  export const SLH_DSA: u32 = 9;
  export const AES: u32 = 10;
  export const AES_XTS: u32 = 11;
  export const CHACHA20: u32 = 12;
  export const SM4: u32 = 13;
  export const GENERIC: u32 = 14;
  export const HMAC: u32 = 15;
  export const HKDF: u32 = 16;
}

// @ts-ignore: decorator
@inline
export function action(): u32 {
  return load<u32>(REQUEST, 8);
}

// 0 where none is involved.
// @ts-ignore: decorator
@inline
export function mechanism(): u32 {
  return load<u32>(REQUEST, 12);
}

// Milliseconds since 1970.
// @ts-ignore: decorator
@inline
export function time(): u64 {
  return load<u64>(REQUEST, 16);
}

// @ts-ignore: decorator
@inline
export function lastSecond(): u32 {
  return load<u32>(REQUEST, 32);
}

// @ts-ignore: decorator
@inline
export function lastMinute(): u32 {
  return load<u32>(REQUEST, 36);
}

// `u64.MAX_VALUE`: not known yet.
// @ts-ignore: decorator
@inline
export function dataLength(): u64 {
  return load<u64>(REQUEST, 40);
}

// @ts-ignore: decorator
@inline
function flag(bit: u32): bool {
  return (load<u32>(REQUEST, 48) & bit) != 0;
}

// @ts-ignore: decorator
@inline
export function isInteractive(): bool {
  return flag(1);
}

// @ts-ignore: decorator
@inline
export function hasMfa(): bool {
  return flag(2);
}

// @ts-ignore: decorator
@inline
export function hasKey(): bool {
  return flag(8);
}

// @ts-ignore: decorator
@inline
export function isSessionKey(): bool {
  return flag(16);
}

// `u32.MAX_VALUE`: there is none.
// @ts-ignore: decorator
@inline
export function uid(): u32 {
  return load<u32>(REQUEST, 52);
}

// 0: there is no key, or its type is not known yet.
// @ts-ignore: decorator
@inline
export function keyType(): u32 {
  return load<u32>(REQUEST, 60);
}

// @ts-ignore: decorator
@inline
export function keyBits(): u32 {
  return load<u32>(REQUEST, 64);
}

// 0: it is about to exist.
// @ts-ignore: decorator
@inline
export function keyCreated(): u64 {
  return load<u64>(REQUEST, 72);
}

// Milliseconds.
// @ts-ignore: decorator
@inline
export function versionAge(): u64 {
  return load<u64>(REQUEST, 80);
}

// Where a text or a list stands in the fixed part.
export namespace Field {
  export const TENANT: u32 = 88;
  export const PRINCIPAL: u32 = 96;
  export const ROLES: u32 = 104;
  export const KEY_ID: u32 = 112;
  export const LABEL: u32 = 120;
  export const NAMESPACE: u32 = 128;
  export const TAGS: u32 = 136;
  export const PROCESS: u32 = 144;
  export const SOURCE: u32 = 152;
  export const SESSION: u32 = 160;
  export const CONTEXT: u32 = 168;
}

// Whether `length` bytes at `offset` lie inside the request; traps where not.
// @ts-ignore: decorator
@inline
function inside(offset: u32, length: u32): void {
  const total = load<u32>(REQUEST, 4);
  if (offset > total || length > total - offset) unreachable();
}

// The bytes of a string constant against those of a text; constants are ASCII.
function same(pair: usize, constant: string, whole: bool): bool {
  const offset = load<u32>(pair);
  const length = load<u32>(pair, 4);
  inside(offset, length);
  const wanted = <u32>constant.length;
  if (whole ? length != wanted : length < wanted) return false;
  for (let i: u32 = 0; i < wanted; i++) {
    if (load<u8>(REQUEST + offset + i) != load<u16>(changetype<usize>(constant) + (i << 1))) return false;
  }
  return true;
}

// Whether the text of a field is this one.
export function is(field: u32, constant: string): bool {
  return same(REQUEST + field, constant, true);
}

// Whether the text of a field begins with this.
export function startsWith(field: u32, constant: string): bool {
  return same(REQUEST + field, constant, false);
}

// Whether a list (roles or tags) contains this text.
export function contains(field: u32, constant: string): bool {
  const offset = load<u32>(REQUEST + field);
  const count = load<u32>(REQUEST + field, 4);
  if (count > <u32>SIZE / 8) unreachable();
  inside(offset, count * 8);
  for (let i: u32 = 0; i < count; i++) {
    if (same(REQUEST + offset + i * 8, constant, true)) return true;
  }
  return false;
}

// --- the decision (section 3) ---

// With the address of a response, or 0.
// @ts-ignore: decorator
@inline
export function deny(rule: u32, response: usize = 0): i64 {
  return <i64>(((<u64>rule) << 8) | ((<u64>response) << 32));
}

// @ts-ignore: decorator
@inline
export function allow(rule: u32, response: usize = 0): i64 {
  return <i64>((<u64>1) | ((<u64>rule) << 8) | ((<u64>response) << 32));
}

// @ts-ignore: decorator
@inline
export function notApplicable(): i64 {
  return 2;
}

// --- responses that are put together for one request (section 5) ---

export namespace respond {
  const LONGEST: u32 = 512;
  const RESPONSE: usize = memory.data(512, 4);

  // An entry's head; returns where its value goes. `begin` first.
  function entry(kind: u32, length: u32): usize {
    const total = load<u32>(RESPONSE);
    if (total < 4 || length + 4 > LONGEST - total) unreachable();
    store<u16>(RESPONSE + total, <u16>(kind | 0x8000));
    store<u16>(RESPONSE + total, <u16>length, 2);
    store<u32>(RESPONSE, total + 4 + length);
    return RESPONSE + total + 4;
  }

  function text(kind: u32, constant: string): void {
    const length = <u32>constant.length;
    if (length == 0 || length > 128) unreachable();
    const value = entry(kind, length);
    for (let i: u32 = 0; i < length; i++) {
      store<u8>(value + i, <u8>load<u16>(changetype<usize>(constant) + (i << 1)));
    }
  }

  export function begin(): void {
    store<u32>(RESPONSE, 4);
  }

  export function auditTag(tag: string): void {
    text(1, tag);
  }

  export function rateLimit(count: u32, seconds: u32): void {
    const value = entry(2, 8);
    store<u32>(value, count);
    store<u32>(value, seconds, 4);
  }

  export function maximumData(bytes: u64): void {
    store<u64>(entry(3, 8), bytes);
  }

  export function stepUp(): void {
    entry(4, 0);
  }

  export function sessionExpiry(seconds: u32): void {
    store<u32>(entry(6, 4), seconds);
  }

  export function notify(channel: string): void {
    text(7, channel);
  }

  export function mask(shown: u8): void {
    store<u8>(entry(8, 1), shown);
  }

  // The response's address, for `allow` and `deny`.
  export function end(): usize {
    return RESPONSE;
  }
}
