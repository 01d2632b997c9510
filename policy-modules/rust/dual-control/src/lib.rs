//! Keys tagged `dual-control` are used only when two holders of the role `custodian` have approved, and never by a
//! custodian: who approves does not use (split knowledge and dual control, PCI DSS v4.0, 3.7.6). Approvals hold for 15
//! minutes of signing and decrypting. A payment whose encryption context names an `amount` above a million needs three
//! approvals of its own. Changing or destroying the key needs two for the one operation, and the channel `security` is
//! told. The key is never exported.
#![cfg_attr(target_arch = "wasm32", no_std)]

use kmss_policy::{Action, Decision, Request, Response};

/// The tag of the keys that this is about.
const TAG: &str = "dual-control";
/// Who approves.
const APPROVERS: &str = "custodian";
/// The entry of the encryption context that says how much is paid, in cents.
const AMOUNT: &str = "amount";
/// Above this many cents one more custodian approves.
const LARGE: u64 = 100_000_000;

kmss_policy::rules! {
    LOOK = 1 "dual-control.harmless";
    USE = 2 "dual-control.two-custodians";
    PAY = 3 "dual-control.large-amount";
    CHANGE = 4 "dual-control.change";
    CUSTODIAN = 5 "dual-control.separation" because "custodians approve the use of this key and do not use it themselves";
    LEAVES = 6 "dual-control.never-exported" because "a key under dual control never leaves in clear";
    AMOUNT_UNCLEAR = 7 "dual-control.amount" because "the amount in the encryption context is not a whole number of cents";
    UNKNOWN = 8 "dual-control.unknown-action" because "dual control does not know this action";
}

static TWO_FOR_A_WHILE: Response<64> = Response::new().quorum(2, APPROVERS, 900).audit_tag("dual-control");
static THREE_FOR_THIS: Response<64> = Response::new().quorum(3, APPROVERS, 0).audit_tag("dual-control");
static TWO_FOR_THIS: Response<64> =
    Response::new().quorum(2, APPROVERS, 0).notify("security").audit_tag("dual-control");

#[kmss_policy::policy]
fn decide(request: Request) -> Decision {
    if !request.key().is_some_and(|key| key.tags().contains(TAG)) {
        return Decision::not_applicable();
    }
    match request.action() {
        // What public keys do, and what tells nothing.
        Action::FIND | Action::VERIFY | Action::ENCRYPT | Action::ENCAPSULATE => Decision::allow(LOOK),
        Action::EXPORT => Decision::deny(LEAVES),
        _ if request.roles().contains(APPROVERS) => Decision::deny(CUSTODIAN),
        Action::SIGN | Action::DECRYPT | Action::UNWRAP | Action::DERIVE | Action::DECAPSULATE => used(request),
        Action::GENERATE | Action::IMPORT | Action::WRAP | Action::MANAGE | Action::CHANGE_STATE | Action::DESTROY => {
            Decision::allow(CHANGE).with(&TWO_FOR_THIS)
        }
        _ => Decision::deny(UNKNOWN),
    }
}

fn used(request: Request) -> Decision {
    match request.context().get(AMOUNT).map(|amount| amount.number()) {
        Some(None) => Decision::deny(AMOUNT_UNCLEAR),
        Some(Some(amount)) if amount > LARGE => Decision::allow(PAY).with(&THREE_FOR_THIS),
        _ => Decision::allow(USE).with(&TWO_FOR_A_WHILE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmss_policy::Verdict;
    use kmss_policy::testing::{Ask, AskKey, Duty, duties};

    fn ask(action: Action) -> Ask {
        let key = AskKey { name: "settlement".into(), tags: vec![TAG.into()], ..AskKey::default() };
        Ask { principal: "service:settlement".into(), key: Some(key), ..Ask::of(action) }
    }

    #[test]
    fn an_amount_that_cannot_be_read_denies() {
        let with = |amount: &str| {
            let decision = Ask { context: vec![(AMOUNT.into(), amount.into())], ..ask(Action::SIGN) }.to(decide);
            decision.rule()
        };
        assert_eq!((with("100000000"), with("100000001")), (USE, PAY));
        for unclear in ["", "-5", "1e9", "10.50", "99999999999999999999999"] {
            assert_eq!(with(unclear), AMOUNT_UNCLEAR, "{unclear}");
        }
    }

    #[test]
    fn every_action_that_uses_the_secret_needs_custodians() {
        for action in Action::ALL {
            let decision = ask(*action).to(decide);
            let quorum = duties(&decision).iter().any(|duty| matches!(duty, Duty::Quorum { approvals: 2.., .. }));
            let harmless = [Action::FIND, Action::VERIFY, Action::ENCRYPT, Action::ENCAPSULATE].contains(action);
            assert!(quorum || harmless || decision.verdict() == Verdict::Deny, "{}", action.name());
        }
    }

    #[test]
    fn an_action_of_a_later_version_is_denied() {
        assert_eq!(ask(Action(4711)).to(decide), Decision::deny(UNKNOWN));
    }
}
