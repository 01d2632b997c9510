//! Objects of a token: made from templates, copied, changed, destroyed (PKCS#11 3.2, 5.7).

use std::cell::OnceCell;
use std::sync::Arc;

use cryptoki_sys::{self as c, CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CKR_FUNCTION_FAILED};
use libkmss::caller::Login;
use libkmss::error::{Error, ErrorClass, ErrorKind};
use libkmss::key::{KeyComponents, Object, Storage};
use libkmss::operation::{self, Claims, Destroy, Draft, Export, Import, ImportDocument, ObjectRef, Update};

use crate::attributes::components::{self, Given};
use crate::attributes::draft::{self, Giver};
use crate::attributes::read::{self, Attributes};
use crate::attributes::rules::{self, Class, Occasion};
use crate::attributes::{change, curve};
use crate::module::special::{self, Special};
use crate::module::{self, session::SessionView};
use crate::raw::octet_string;
use crate::raw::template::{Answer, Template};
use crate::rv::{Result, Rv};

/// How often a change is tried anew when somebody else changed the object meanwhile.
const ATTEMPTS: usize = 4;

/// C_CreateObject.
pub(crate) fn create(view: &SessionView, template: &Template) -> Result<CK_OBJECT_HANDLE> {
    let class = draft::class(template, None, view.profile())?;
    let draft = new_draft(view, class, template, Occasion::Create)?;
    let object = match components::given(template, class)? {
        Given::Key(components) => view.kms.perform(&view.caller, Import { components, draft })?,
        Given::Document(body) => view.kms.perform(&view.caller, ImportDocument { body, draft })?,
    };
    Ok(handle(view, &object))
}

/// C_CopyObject.
pub(crate) fn copy(view: &SessionView, source: CK_OBJECT_HANDLE, template: &Template) -> Result<CK_OBJECT_HANDLE> {
    special::refuse(source)?;
    let source = view.token.objects.resolve(source, view)?;
    let mut draft = view.kms.draft(change::copied_storage(&source, template)?)?;
    change::copied(&mut draft, &source, template, giver(view))?;
    view.check_write(draft.storage, draft.private)?;
    let copy = operation::Copy { source: ObjectRef::from(&source), draft };
    let copied = view.kms.perform(&view.caller, copy)?;
    Ok(handle(view, &copied))
}

/// C_DestroyObject.
pub(crate) fn destroy(view: &SessionView, handle: CK_OBJECT_HANDLE) -> Result<()> {
    special::refuse(handle)?;
    let object = view.token.objects.resolve(handle, view)?;
    view.check_write(object.storage, object.private)?;
    view.kms.perform(&view.caller, Destroy { object: ObjectRef::from(object) })?;
    view.token.objects.remove(handle);
    Ok(())
}

/// C_GetObjectSize.
pub(crate) fn size(view: &SessionView, handle: CK_OBJECT_HANDLE) -> Result<usize> {
    if special::find(view, handle).is_some() {
        return Ok(0);
    }
    Ok(read::size(&*view.token.objects.resolve(handle, view)?))
}

/// An object whose attributes are asked for, with its key material once that was asked for and may be given.
pub(crate) struct Shown<'a> {
    view: &'a SessionView,
    what: What,
    exported: OnceCell<Option<KeyComponents>>,
}

/// Whether somebody made it.
enum What {
    Made(Arc<Object>),
    Special(Special),
}

impl<'a> Shown<'a> {
    /// The object behind `handle`.
    pub(crate) fn new(view: &'a SessionView, handle: CK_OBJECT_HANDLE) -> Result<Self> {
        let what = match special::find(view, handle) {
            Some(special) => What::Special(special),
            None => What::Made(view.token.objects.resolve(handle, view)?),
        };
        Ok(Self { view, what, exported: OnceCell::new() })
    }

    /// What C_GetAttributeValue says of one attribute.
    pub(crate) fn answer(&self, kind: CK_ATTRIBUTE_TYPE) -> Result<Answer> {
        match &self.what {
            What::Special(special) => Ok(special.answer(kind)),
            What::Made(object) => {
                let attributes = Attributes::of(object, self.view.profile());
                attributes.answer_with(kind, &self.exported, || self.export(object))
            }
        }
    }

    /// The key in clear; `None` where whoever asks may not have it, which is the same as sensitive.
    fn export(&self, object: &Arc<Object>) -> Result<Option<KeyComponents>> {
        let key = ObjectRef::from(object);
        match self.view.kms.perform(&self.view.caller, Export { key }) {
            Ok(components) => Ok(Some(components)),
            Err(e) if withheld(&e) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

fn withheld(error: &Error) -> bool {
    let kind = error.kind();
    kind.class() == ErrorClass::Authority
        || matches!(kind, ErrorKind::AttributeSensitive | ErrorKind::KeyUnextractable | ErrorKind::KeyUsage)
}

/// C_SetAttributeValue.
pub(crate) fn set_attributes(view: &SessionView, handle: CK_OBJECT_HANDLE, template: &Template) -> Result<()> {
    special::refuse(handle)?;
    for _ in 0..ATTEMPTS {
        let object = view.token.objects.resolve(handle, view)?;
        view.check_write(object.storage, object.private)?;
        let changed = change::changed(&object, template, giver(view))?;
        let update = Update { current: ObjectRef::from(&object), object: changed };
        match view.kms.perform(&view.caller, update) {
            Ok(updated) if updated.storage == Storage::Ephemeral => {
                return view.token.objects.replace_session_object(handle, updated);
            }
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(Rv(CKR_FUNCTION_FAILED))
}

/// A draft with everything that an admitted template says of a new object, which the session may make.
pub(crate) fn new_draft(view: &SessionView, class: Class, template: &Template, occasion: Occasion) -> Result<Draft> {
    rules::admit(template, class, occasion)?;
    let mut draft = view.kms.draft(draft::storage(template)?)?;
    draft::fill(&mut draft, class, template, occasion, giver(view))?;
    view.check_write(draft.storage, draft.private)?;
    draft.claims = claims(view, template);
    if matches!(occasion, Occasion::Create | Occasion::Generate) {
        keep_curve(&mut draft, class, template);
    }
    Ok(draft)
}

/// The handle of an object that was just made; a session object belongs to the session that made it, and ends at once
/// where that session, or the login that it asks for, ended while it was made.
pub(crate) fn handle(view: &SessionView, object: &Arc<Object>) -> CK_OBJECT_HANDLE {
    let handle = view.token.objects.handle_of(object, view.handle);
    if object.storage == Storage::Ephemeral {
        let closed = module::with_session(view.handle, |_| ()).is_err();
        if closed || (object.private && view.token.logins() != view.logins) {
            view.token.objects.remove(handle);
        }
    }
    handle
}

/// Keeps a curve's name where the template gave one instead of the OID, so that callers find what they wrote.
pub(crate) fn keep_curve(draft: &mut Draft, class: Class, template: &Template) {
    match template.get(c::CKA_EC_PARAMS) {
        Some(params) if class.key_type().is_some() && curve::is_named(params) => {
            draft::keep(draft, c::CKA_EC_PARAMS, params);
        }
        _ => {}
    }
}

fn giver(view: &SessionView) -> Giver {
    Giver {
        user: view.is_user(),
        officer: view.caller.login == Login::SecurityOfficer,
        profile: view.profile(),
        separate: view.caller.namespace.settings.separate_wrap_and_decrypt,
    }
}

/// What a template says of a key beyond its material, to be held against the key that comes of it.
fn claims(view: &SessionView, template: &Template) -> Claims {
    let claims = |(kind, value): &(CK_ATTRIBUTE_TYPE, &[u8])| {
        let claims = matches!(
            *kind,
            c::CKA_CHECK_VALUE
                | c::CKA_PUBLIC_KEY_INFO
                | c::CKA_MODULUS_BITS
                | c::CKA_MODULUS
                | c::CKA_PUBLIC_EXPONENT
                | c::CKA_EC_PARAMS
                | c::CKA_EC_POINT
                | c::CKA_PARAMETER_SET
        );
        claims && !value.is_empty()
    };
    let claimed: Vec<_> = template.iter().filter(claims).map(|(kind, value)| (kind, value.to_vec())).collect();
    if claimed.is_empty() {
        return Claims::default();
    }
    let profile = view.profile();
    Claims::new(move |object| {
        let attributes = Attributes::of(object, profile);
        claimed.iter().all(|(kind, claimed)| match attributes.answer(*kind) {
            Answer::Value(known) if known.is_empty() => true,
            Answer::Value(known) => same(*kind, claimed, &known, Class::of(object)),
            _ => false,
        })
    })
}

fn same(kind: CK_ATTRIBUTE_TYPE, claimed: &[u8], known: &[u8], class: Class) -> bool {
    match kind {
        c::CKA_EC_PARAMS => {
            let curve = |params| class.key_type().and_then(|t| curve::parse(Some(params), t).ok());
            curve(claimed).is_some() && curve(claimed) == curve(known)
        }
        c::CKA_EC_POINT => {
            same_point(&octet_string::unwrapped(claimed.to_vec()), &octet_string::unwrapped(known.to_vec()))
        }
        c::CKA_MODULUS | c::CKA_PUBLIC_EXPONENT => octet_string::stripped(claimed) == octet_string::stripped(known),
        _ => claimed == known,
    }
}

/// Whether both are the same point; the claimed one may be compressed (SEC 1, 2.3.3).
fn same_point(claimed: &[u8], known: &[u8]) -> bool {
    let compressed = match claimed {
        [sign @ (2 | 3), x @ ..] if known.len() == 1 + 2 * x.len() => {
            known.get(1..=x.len()) == Some(x) && known.last().is_some_and(|y| y & 1 == sign & 1)
        }
        _ => false,
    };
    compressed || claimed == known
}
