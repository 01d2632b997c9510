//! The answer: a verdict, the rule that decided, and what the host must do (docs/policy-abi.md, section 3).

use crate::response::Encoded;
use crate::rules::Rule;

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No.
    Deny = 0,
    /// Yes, if every duty is met.
    Allow = 1,
    /// This policy does not speak of the request; others do.
    NotApplicable = 2,
}

/// The answer to one request. In a module it is one number, so that it is returned in a register and not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    bits: u64,
    #[cfg(not(target_arch = "wasm32"))]
    response: Option<Encoded>,
}

impl Decision {
    #[inline(always)]
    const fn new(verdict: Verdict, rule: Rule) -> Self {
        Self {
            bits: verdict as u64 | ((rule.0 & 0x00FF_FFFF) as u64) << 8,
            #[cfg(not(target_arch = "wasm32"))]
            response: None,
        }
    }

    /// Yes.
    #[inline(always)]
    pub fn allow(rule: impl Into<Rule>) -> Self {
        Self::new(Verdict::Allow, rule.into())
    }

    /// No.
    #[inline(always)]
    pub fn deny(rule: impl Into<Rule>) -> Self {
        Self::new(Verdict::Deny, rule.into())
    }

    /// Nothing: other policies decide. Where none of them allows, that is a deny.
    #[inline(always)]
    pub const fn not_applicable() -> Self {
        Self::new(Verdict::NotApplicable, Rule(0))
    }

    /// With duties or a reason: a `&'static` [`Response`](crate::Response), or what a [`Writer`](crate::Writer) finished.
    #[inline(always)]
    pub fn with(self, response: impl Into<Encoded>) -> Self {
        let response = response.into();
        #[cfg(target_arch = "wasm32")]
        let made = Self { bits: self.bits & 0xFFFF_FFFF | (response.bytes().as_ptr() as u64) << 32 };
        #[cfg(not(target_arch = "wasm32"))]
        let made = Self { response: Some(response), ..self };
        made
    }

    /// What it says.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self.bits & 0xFF {
            1 => Verdict::Allow,
            2 => Verdict::NotApplicable,
            _ => Verdict::Deny,
        }
    }

    /// The rule that decided; 0 where there is none. It has 24 bits.
    #[must_use]
    #[inline(always)]
    pub const fn rule(self) -> Rule {
        Rule((self.bits >> 8 & 0x00FF_FFFF) as u32)
    }

    /// Duties and the reason, where there are any.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    #[inline(always)]
    pub const fn response(self) -> Option<Encoded> {
        self.response
    }

    /// What `kmss_decide` returns for it.
    #[cfg(any(test, target_arch = "wasm32"))]
    #[inline(always)]
    pub(crate) const fn returned(self) -> u64 {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_and_rule_have_bits_of_their_own() {
        assert_eq!(Decision::allow(0x00AB_CDEF).returned(), 0xABCD_EF01);
        assert_eq!(Decision::deny(1).returned(), 0x100);
        assert_eq!(Decision::not_applicable().returned(), 2);
        assert_eq!(Decision::deny(0xFF00_0001).returned(), 0x100, "only 24 bits of a rule");
        let decision = Decision::allow(7);
        assert_eq!((decision.verdict(), decision.rule()), (Verdict::Allow, Rule(7)));
    }
}
