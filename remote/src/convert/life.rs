//! The life of keys, and what is known of those that are gone.

use libkmss::catalog::Tombstone;
use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{
    Deletion, Description, Lifecycle, Metadata, Purpose, Retirement, Revocation, Role, Rotation, Transition,
};
use libkmss::kms::{Doomed, DueRotation, Fate, RotationStep, Spent};
use proto::transition::Kind;

use super::{Numbered, audit_mode, audit_mode_number, object_id};
use crate::proto;

impl From<&Lifecycle> for proto::Lifecycle {
    fn from(life: &Lifecycle) -> Self {
        let retirement = match life.retirement {
            None => proto::Retirement::Unspecified,
            Some(Retirement::Rotated) => proto::Retirement::Rotated,
            Some(Retirement::Archived) => proto::Retirement::Archived,
            Some(Retirement::Revoked) => proto::Retirement::Revoked,
        };
        Self {
            activation_ms: life.activation.map(|at| at.0),
            deactivation_ms: life.deactivation.map(|at| at.0),
            retirement: retirement.into(),
            revocation: life.revocation.as_ref().map(|revocation| proto::Revocation {
                reason: revocation.reason.number(),
                time_ms: revocation.time.0,
                by: revocation.by.clone(),
                why: revocation.why.clone(),
            }),
            deletion: life.deletion.as_ref().map(Into::into),
            version: life.version,
            role: match life.role {
                None => proto::Role::Unspecified,
                Some(Role::Former) => proto::Role::Former,
                Some(Role::Pending) => proto::Role::Pending,
            }
            .into(),
            next: life.next,
            since_ms: life.since.map(|at| at.0),
            rotation_days: life.rotation.as_ref().map_or(0, |rule| rule.days),
            rotation_uses: life.rotation.as_ref().and_then(|rule| rule.uses),
            rotation_bytes: life.rotation.as_ref().and_then(|rule| rule.bytes),
            rotation_strict: life.rotation.as_ref().is_some_and(|rule| rule.strict),
            material_of: life.material_of.map(|id| id.0.to_vec()),
        }
    }
}

impl From<&Deletion> for proto::Deletion {
    fn from(deletion: &Deletion) -> Self {
        Self {
            due_ms: deletion.due.0,
            asked_ms: deletion.asked.0,
            by: deletion.by.clone(),
            why: deletion.why.clone(),
            before: deletion.before.number(),
        }
    }
}

pub(super) fn lifecycle(life: proto::Lifecycle) -> Result<Lifecycle> {
    let retirement = match proto::Retirement::try_from(life.retirement) {
        Ok(proto::Retirement::Unspecified) => None,
        Ok(proto::Retirement::Rotated) => Some(Retirement::Rotated),
        Ok(proto::Retirement::Archived) => Some(Retirement::Archived),
        Ok(proto::Retirement::Revoked) => Some(Retirement::Revoked),
        Err(_) => return Err(Error::new(ErrorKind::Arguments, "why the key was retired is not known")),
    };
    let revocation = |revocation: proto::Revocation| -> Result<Revocation> {
        Ok(Revocation {
            reason: Numbered::of(revocation.reason)?,
            time: Timestamp(revocation.time_ms),
            by: revocation.by,
            why: revocation.why,
        })
    };
    let role = match proto::Role::try_from(life.role) {
        Ok(proto::Role::Unspecified) => None,
        Ok(proto::Role::Former) => Some(Role::Former),
        Ok(proto::Role::Pending) => Some(Role::Pending),
        Err(_) => return Err(Error::new(ErrorKind::Arguments, "what the version is to its name is not known")),
    };
    Ok(Lifecycle {
        version: life.version,
        role,
        next: life.next,
        // The vault is where the key is.
        line: None,
        since: life.since_ms.map(Timestamp),
        rotation: rule(life.rotation_days, (life.rotation_uses, life.rotation_bytes), life.rotation_strict),
        counts_with: None,
        material_of: life.material_of.as_deref().map(object_id).transpose()?,
        activation: life.activation_ms.map(Timestamp),
        deactivation: life.deactivation_ms.map(Timestamp),
        retirement,
        revocation: life.revocation.map(revocation).transpose()?,
        deletion: life.deletion.map(deletion).transpose()?,
    })
}

fn rule(days: u32, (uses, bytes): (Option<u64>, Option<u64>), strict: bool) -> Option<Rotation> {
    let rule = Rotation { days, uses, bytes, strict };
    (days != 0 || rule.is_counted()).then_some(rule)
}

fn deletion(deletion: proto::Deletion) -> Result<Deletion> {
    Ok(Deletion {
        due: Timestamp(deletion.due_ms),
        asked: Timestamp(deletion.asked_ms),
        by: deletion.by,
        why: deletion.why,
        before: Numbered::of(deletion.before)?,
    })
}

impl From<&Transition> for proto::Transition {
    fn from(transition: &Transition) -> Self {
        let of = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        let moment = |moment: &Option<Option<Timestamp>>| moment.map(|at| at.map_or(0, |at| at.0));
        match transition {
            Transition::Enable => of(Kind::Enable),
            Transition::Disable => of(Kind::Disable),
            Transition::Suspend => of(Kind::Suspend),
            Transition::Archive => of(Kind::Archive),
            Transition::Revoke { reason, why } => {
                Self { reason: reason.number(), why: why.clone(), ..of(Kind::Revoke) }
            }
            Transition::Schedule { activation, deactivation } => {
                Self { activation_ms: moment(activation), deactivation_ms: moment(deactivation), ..of(Kind::Schedule) }
            }
            Transition::Delete { days, why } => Self { days: u32::from(*days), why: why.clone(), ..of(Kind::Delete) },
            Transition::Keep => of(Kind::Keep),
            Transition::Describe(said) => Self {
                owner: said.owner.clone(),
                description: said.description.clone(),
                purpose: said.purpose.map(purpose_number),
                service: said.service.clone(),
                ..of(Kind::Describe)
            },
            Transition::Tag(tags) => Self { tags: tags.clone(), ..of(Kind::Tag) },
            Transition::Audit(mode) => Self { audit: audit_mode_number(*mode), ..of(Kind::Audit) },
            Transition::Rotate(rule) => {
                let Rotation { days, uses, bytes, strict } = rule.clone().unwrap_or_default();
                let (rotation_days, rotation_uses, rotation_bytes, rotation_strict) = (days, uses, bytes, strict);
                Self { rotation_days, rotation_uses, rotation_bytes, rotation_strict, ..of(Kind::Rotate) }
            }
        }
    }
}

/// A change in a key's life.
///
/// # Errors
/// [`ErrorKind::Arguments`] for one that is not known.
pub fn transition(asked: Option<proto::Transition>) -> Result<Transition> {
    let unknown = || Error::new(ErrorKind::Arguments, "it is not said what is to become of the key");
    let asked = asked.ok_or_else(unknown)?;
    let moment = |ms: Option<u64>| ms.map(|ms| (ms != 0).then_some(Timestamp(ms)));
    Ok(match Kind::try_from(asked.kind) {
        Ok(Kind::Enable) => Transition::Enable,
        Ok(Kind::Disable) => Transition::Disable,
        Ok(Kind::Suspend) => Transition::Suspend,
        Ok(Kind::Archive) => Transition::Archive,
        Ok(Kind::Revoke) => Transition::Revoke { reason: Numbered::of(asked.reason)?, why: asked.why },
        Ok(Kind::Schedule) => Transition::Schedule {
            activation: moment(asked.activation_ms),
            deactivation: moment(asked.deactivation_ms),
        },
        Ok(Kind::Delete) => Transition::Delete { days: u16::try_from(asked.days).unwrap_or(u16::MAX), why: asked.why },
        Ok(Kind::Keep) => Transition::Keep,
        Ok(Kind::Describe) => Transition::Describe(Description {
            owner: asked.owner,
            description: asked.description,
            purpose: asked.purpose.map(purpose).transpose()?,
            service: asked.service,
        }),
        Ok(Kind::Tag) => Transition::Tag(asked.tags),
        Ok(Kind::Audit) => Transition::Audit(audit_mode(asked.audit)?),
        Ok(Kind::Rotate) => {
            let counted = (asked.rotation_uses, asked.rotation_bytes);
            Transition::Rotate(rule(asked.rotation_days, counted, asked.rotation_strict))
        }
        Ok(Kind::Unspecified) | Err(_) => return Err(unknown()),
    })
}

impl From<&Doomed> for proto::DoomedKey {
    fn from(doomed: &Doomed) -> Self {
        use proto::doomed_key::Fate as Wire;
        let (fate, reason) = match &doomed.fate {
            Fate::Waits => (Wire::Waits, String::new()),
            Fate::Due => (Wire::Due, String::new()),
            Fate::Destroyed => (Wire::Destroyed, String::new()),
            Fate::Failed(why) => (Wire::Failed, why.clone()),
        };
        Self { id: doomed.id.0.to_vec(), name: doomed.name.clone(), due_ms: doomed.due.0, fate: fate.into(), reason }
    }
}

/// What became of a key that waited for its destruction, for a client.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what cannot be understood.
pub fn doomed(key: proto::DoomedKey) -> Result<Doomed> {
    use proto::doomed_key::Fate as Wire;
    let fate = match Wire::try_from(key.fate) {
        Ok(Wire::Waits) => Fate::Waits,
        Ok(Wire::Due) => Fate::Due,
        Ok(Wire::Destroyed) => Fate::Destroyed,
        Ok(Wire::Failed) => Fate::Failed(key.reason),
        _ => return Err(Error::new(ErrorKind::Arguments, "what became of the key is not known")),
    };
    Ok(Doomed { id: object_id(&key.id)?, name: key.name, due: Timestamp(key.due_ms), fate })
}

impl From<&Tombstone> for proto::Tombstone {
    fn from(stone: &Tombstone) -> Self {
        Self {
            id: stone.object.0.to_vec(),
            name: stone.name.clone(),
            class: stone.class.number(),
            key_type: stone.key_type.number(),
            created_ms: stone.created.0,
            deletion: Some((&stone.deletion).into()),
            destroyed_ms: stone.destroyed.0,
            by: stone.by.clone(),
            released: stone.released,
        }
    }
}

/// What is known of a key that is gone, for a client.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what cannot be understood.
pub fn tombstone(stone: proto::Tombstone) -> Result<Tombstone> {
    Ok(Tombstone {
        object: object_id(&stone.id)?,
        name: stone.name,
        class: Numbered::of(stone.class)?,
        key_type: Numbered::of(stone.key_type)?,
        created: Timestamp(stone.created_ms),
        deletion: deletion(stone.deletion.unwrap_or_default())?,
        destroyed: Timestamp(stone.destroyed_ms),
        by: stone.by,
        released: stone.released,
    })
}

impl From<&DueRotation> for proto::DueRotation {
    fn from(due: &DueRotation) -> Self {
        use proto::due_rotation::Step;
        let (step, reason) = match &due.step {
            RotationStep::Waits => (Step::Waits, String::new()),
            RotationStep::Pending => (Step::Pending, String::new()),
            RotationStep::Rotate => (Step::Rotate, String::new()),
            RotationStep::Prepare => (Step::Prepare, String::new()),
            RotationStep::Activate => (Step::Activate, String::new()),
            RotationStep::Held(why) => (Step::Held, why.clone()),
            RotationStep::Failed(why) => (Step::Failed, why.clone()),
        };
        let due_ms = due.due.map(|at| at.0);
        let spent = |spent: Option<Spent>| spent.map(|Spent { used, limit }| proto::Spent { used, limit });
        let (uses, bytes) = (spent(due.uses), spent(due.bytes));
        Self { name: due.name.clone(), version: due.version, due_ms, uses, bytes, step: step.into(), reason }
    }
}

/// A key whose rotation is looked after, for a client.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what cannot be understood.
pub fn due_rotation(due: proto::DueRotation) -> Result<DueRotation> {
    use proto::due_rotation::Step;
    let step = match Step::try_from(due.step) {
        Ok(Step::Waits) => RotationStep::Waits,
        Ok(Step::Pending) => RotationStep::Pending,
        Ok(Step::Rotate) => RotationStep::Rotate,
        Ok(Step::Prepare) => RotationStep::Prepare,
        Ok(Step::Activate) => RotationStep::Activate,
        Ok(Step::Held) => RotationStep::Held(due.reason),
        Ok(Step::Failed) => RotationStep::Failed(due.reason),
        _ => return Err(Error::new(ErrorKind::Arguments, "what was done about the key is not known")),
    };
    let spent = |spent: Option<proto::Spent>| spent.map(|proto::Spent { used, limit }| Spent { used, limit });
    let (uses, bytes) = (spent(due.uses), spent(due.bytes));
    Ok(DueRotation { name: due.name, version: due.version, due: due.due_ms.map(Timestamp), uses, bytes, step })
}

impl From<&Metadata> for proto::Metadata {
    fn from(metadata: &Metadata) -> Self {
        Self {
            owner: metadata.owner.clone(),
            description: metadata.description.clone(),
            purpose: purpose_number(metadata.purpose),
            aliases: metadata.aliases.clone(),
            service: metadata.service.clone(),
            grants: metadata.grants.clone(),
        }
    }
}

pub(super) fn metadata(metadata: proto::Metadata) -> Result<Metadata> {
    Ok(Metadata {
        owner: metadata.owner,
        description: metadata.description,
        purpose: purpose(metadata.purpose)?,
        aliases: metadata.aliases,
        service: metadata.service,
        grants: metadata.grants,
        ..Metadata::default()
    })
}

/// The number of a purpose.
#[must_use]
pub fn purpose_number(purpose: Option<Purpose>) -> i32 {
    match purpose {
        None => proto::Purpose::Unspecified,
        Some(Purpose::Sign) => proto::Purpose::Sign,
        Some(Purpose::Encrypt) => proto::Purpose::Encrypt,
        Some(Purpose::Wrap) => proto::Purpose::Wrap,
        Some(Purpose::Derive) => proto::Purpose::Derive,
        Some(Purpose::Encapsulate) => proto::Purpose::Encapsulate,
    }
    .into()
}

/// The purpose with this number; `None` for whatever a key's attributes allow.
///
/// # Errors
/// [`ErrorKind::Arguments`] for one that is not known.
pub fn purpose(number: i32) -> Result<Option<Purpose>> {
    Ok(match proto::Purpose::try_from(number) {
        Ok(proto::Purpose::Unspecified) => None,
        Ok(proto::Purpose::Sign) => Some(Purpose::Sign),
        Ok(proto::Purpose::Encrypt) => Some(Purpose::Encrypt),
        Ok(proto::Purpose::Wrap) => Some(Purpose::Wrap),
        Ok(proto::Purpose::Derive) => Some(Purpose::Derive),
        Ok(proto::Purpose::Encapsulate) => Some(Purpose::Encapsulate),
        Err(_) => return Err(Error::new(ErrorKind::Arguments, "the purpose is not known")),
    })
}
