// Each tenant has a plan, and a plan has a budget: so many operations in a second and in a minute for one principal with
// one key, and so much data at once. What the host counted so far denies at once; the obligation makes the host keep the
// budget over all processes, atomically. Administration and looking keys up are none of this policy's business.
//
// Change `plan` and the constants, build, sign and apply: policy-modules/README.md.

import { Action, Field, action, allow, dataLength, deny, is, lastMinute, lastSecond, notApplicable, open, startsWith } from "./kmss";

export { kmss_abi, kmss_buf } from "./kmss";

const WITHIN: u32 = 1; // rule tenant-rate.within
const TOO_FAST: u32 = 2; // rule tenant-rate.second: too many operations within one second for the plan of this tenant
const TOO_MANY: u32 = 3; // rule tenant-rate.minute: too many operations within one minute for the plan of this tenant
const TOO_LONG: u32 = 4; // rule tenant-rate.data: more data at once than the plan of this tenant allows

// Responses as words (docs/policy-abi.md, section 5): length; 0x0008_8002 a rate limit: operations, seconds;
// 0x0008_8003 the most data at once, in bytes (64 bits).
const TRIAL: usize = memory.data<u32>([28, 0x00088002, 60, 60, 0x00088003, 4096, 0]);
const STANDARD: usize = memory.data<u32>([28, 0x00088002, 3000, 60, 0x00088003, 65536, 0]);
const ENTERPRISE: usize = memory.data<u32>([16, 0x00088002, 60000, 60]);

// @ts-ignore: decorator
@inline
function within(second: u32, data: u64, plan: usize): i64 {
  if (lastSecond() > second) return deny(TOO_FAST);
  if (lastMinute() > load<u32>(plan, 8)) return deny(TOO_MANY);
  const length = dataLength();
  if (length != u64.MAX_VALUE && length > data) return deny(TOO_LONG);
  return allow(WITHIN, plan);
}

export function kmss_decide(length: i32): i64 {
  open(length);
  switch (action()) {
    case Action.SIGN:
    case Action.VERIFY:
    case Action.ENCRYPT:
    case Action.DECRYPT:
    case Action.WRAP:
    case Action.UNWRAP:
    case Action.DERIVE:
    case Action.ENCAPSULATE:
    case Action.DECAPSULATE:
    case Action.DIGEST:
    case Action.RANDOM:
      break;
    default:
      return notApplicable();
  }
  if (startsWith(Field.TENANT, "trial-")) return within(5, 4096, TRIAL);
  if (is(Field.TENANT, "acme") || is(Field.TENANT, "globex")) return within(2000, u64.MAX_VALUE, ENTERPRISE);
  return within(100, 65536, STANDARD);
}
