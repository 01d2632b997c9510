//! The engine of namespaces that never had a policy: the keys' own attributes decide, later in the pipeline.

use super::{Decision, PolicyEngine, PolicyRequest};

/// Allows what no policy speaks of, unless the namespace demands a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributePolicy;

impl PolicyEngine for AttributePolicy {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        if request.caller.namespace.policy_required {
            return Decision::denied("the namespace requires a policy and none is loaded".to_owned());
        }
        Decision::allowed()
    }
}
