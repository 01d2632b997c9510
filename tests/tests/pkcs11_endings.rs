//! How operations end: cancelled, in the wrong form, two at a time, and with the signature given first; and the calls that
//! answer in one number.
#![allow(unsafe_code, reason = "the newer functions are called as C calls them")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "every pointer below leads to a local that outlives its call")]

use std::ptr::{null_mut, read};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::{pair, secret};
use kmss_tests::p11::{Mech, Res, Rv, Session, curve, flag, module, raw, refused, text, token, ulong};

/// Whole blocks, no two alike.
const TEXT: [u8; 96] = {
    let (mut text, mut n) = ([0; 96], 0);
    while n < text.len() {
        text[n] = n as u8;
        n += 1;
    }
    text
};

const ENDED: Rv = Rv(CKR_OPERATION_NOT_INITIALIZED);

/// The newest function list.
fn list() -> &'static CK_FUNCTION_LIST_3_2 {
    type Get = unsafe extern "C" fn(*mut CK_BYTE, *mut CK_VERSION, *mut *mut CK_INTERFACE, CK_FLAGS) -> CK_RV;
    let get: Get = unsafe { std::mem::transmute(module().symbol("C_GetInterface").unwrap()) };
    let (mut interface, mut version) = (null_mut(), CK_VERSION { major: 3, minor: 2 });
    assert_eq!(Rv(unsafe { get(null_mut(), &raw mut version, &raw mut interface, 0) }), Rv(CKR_OK));
    unsafe { &*read(interface).pFunctionList.cast() }
}

macro_rules! c {
    ($name:ident($($argument:expr),* $(,)?)) => {
        Rv(unsafe { list().$name.unwrap()($($argument),*) })
    };
}

/// Bytes as a call takes them, which only reads them.
fn input(bytes: &[u8]) -> (*mut CK_BYTE, CK_ULONG) {
    (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG)
}

/// A call with room for every result of these tests.
fn filled(call: impl FnOnce(*mut CK_BYTE, *mut CK_ULONG) -> Rv) -> Res<Vec<u8>> {
    let (mut out, mut len) = (vec![0_u8; 256], 256);
    call(out.as_mut_ptr(), &raw mut len).ok()?;
    out.truncate(len as usize);
    Ok(out)
}

/// A kind of operation of which a session has one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sign,
    Verify,
    Encrypt,
    Decrypt,
    Digest,
}

use What::{Decrypt, Digest, Encrypt, Sign, Verify};

const ALL: [What; 5] = [Sign, Verify, Encrypt, Decrypt, Digest];

impl What {
    /// What C_SessionCancel calls it.
    const fn flag(self) -> CK_FLAGS {
        match self {
            Sign => CKF_SIGN,
            Verify => CKF_VERIFY,
            Encrypt => CKF_ENCRYPT,
            Decrypt => CKF_DECRYPT,
            Digest => CKF_DIGEST,
        }
    }
}

/// A session with keys, and what each kind of operation makes of [`TEXT`] in one call.
struct Work {
    session: Session,
    cipher: Mech,
    aes: CK_OBJECT_HANDLE,
    hmac: CK_OBJECT_HANDLE,
    sealed: Vec<u8>,
    mac: Vec<u8>,
    digest: Vec<u8>,
}

impl Work {
    fn new(label: &str, cipher: Mech) -> Self {
        let session = token(label).user();
        let aes = secret(&session, CKK_AES, &[7; 32]);
        let hmac = secret(&session, CKK_GENERIC_SECRET, &[4; 32]);
        let sealed = session.encrypt(cipher.clone(), aes, &TEXT).unwrap();
        assert_eq!(session.decrypt(cipher.clone(), aes, &sealed).unwrap(), TEXT);
        assert_ne!(sealed, TEXT);
        let mac = session.sign(CKM_SHA256_HMAC, hmac, &TEXT).unwrap();
        let digest = session.digest(CKM_SHA256, &TEXT).unwrap();
        Self { session, cipher, aes, hmac, sealed, mac, digest }
    }

    fn begin(&self, what: What) -> Res<()> {
        match what {
            Sign => self.session.sign_init(CKM_SHA256_HMAC, self.hmac),
            Verify => self.session.verify_init(CKM_SHA256_HMAC, self.hmac),
            Encrypt => self.session.encrypt_init(self.cipher.clone(), self.aes),
            Decrypt => self.session.decrypt_init(self.cipher.clone(), self.aes),
            Digest => self.session.digest_init(CKM_SHA256),
        }
    }

    /// The Init function with NULL for its mechanism.
    fn cancel(&self, what: What) -> Rv {
        let h = self.session.handle;
        match what {
            Sign => c!(C_SignInit(h, null_mut(), 0)),
            Verify => c!(C_VerifyInit(h, null_mut(), 0)),
            Encrypt => c!(C_EncryptInit(h, null_mut(), 0)),
            Decrypt => c!(C_DecryptInit(h, null_mut(), 0)),
            Digest => c!(C_DigestInit(h, null_mut())),
        }
    }

    /// What goes in: ciphertext to decrypt, else the text.
    fn data(&self, what: What) -> &[u8] {
        if what == Decrypt { &self.sealed } else { &TEXT }
    }

    /// What comes out; nothing of a verification.
    fn expected(&self, what: What) -> Vec<u8> {
        match what {
            Sign => self.mac.clone(),
            Verify => Vec::new(),
            Encrypt => self.sealed.clone(),
            Decrypt => TEXT.to_vec(),
            Digest => self.digest.clone(),
        }
    }

    /// The Update function with the first block.
    fn part(&self, what: What) -> Res<Vec<u8>> {
        let (h, (data, n)) = (self.session.handle, input(&self.data(what)[..16]));
        match what {
            Sign => c!(C_SignUpdate(h, data, n)).ok().map(|()| Vec::new()),
            Verify => c!(C_VerifyUpdate(h, data, n)).ok().map(|()| Vec::new()),
            Encrypt => filled(|out, len| c!(C_EncryptUpdate(h, data, n, out, len))),
            Decrypt => filled(|out, len| c!(C_DecryptUpdate(h, data, n, out, len))),
            Digest => c!(C_DigestUpdate(h, data, n)).ok().map(|()| Vec::new()),
        }
    }

    /// The Final function; of a verification with the MAC of the text.
    fn last(&self, what: What) -> Res<Vec<u8>> {
        let h = self.session.handle;
        match what {
            Sign => filled(|out, len| c!(C_SignFinal(h, out, len))),
            Verify => {
                let (mac, n) = input(&self.mac);
                c!(C_VerifyFinal(h, mac, n)).ok().map(|()| Vec::new())
            }
            Encrypt => filled(|out, len| c!(C_EncryptFinal(h, out, len))),
            Decrypt => filled(|out, len| c!(C_DecryptFinal(h, out, len))),
            Digest => filled(|out, len| c!(C_DigestFinal(h, out, len))),
        }
    }

    /// Everything in one call.
    fn whole(&self, what: What) -> Res<Vec<u8>> {
        let (h, (data, n)) = (self.session.handle, input(self.data(what)));
        match what {
            Sign => filled(|out, len| c!(C_Sign(h, data, n, out, len))),
            Verify => {
                let (mac, mac_len) = input(&self.mac);
                c!(C_Verify(h, data, n, mac, mac_len)).ok().map(|()| Vec::new())
            }
            Encrypt => filled(|out, len| c!(C_Encrypt(h, data, n, out, len))),
            Decrypt => filled(|out, len| c!(C_Decrypt(h, data, n, out, len))),
            Digest => filled(|out, len| c!(C_Digest(h, data, n, out, len))),
        }
    }

    /// Nothing of this kind is under way, and a new one begins without a trace of what was before.
    #[track_caller]
    fn has_ended(&self, what: What) {
        assert_eq!(self.part(what), Err(ENDED), "{what:?}: a part");
        assert_eq!(self.last(what), Err(ENDED), "{what:?}: the end");
        assert_eq!(self.whole(what), Err(ENDED), "{what:?}: at once");
        assert_eq!(self.begin(what), Ok(()), "{what:?}: a new one");
        assert_eq!(self.whole(what), Ok(self.expected(what)), "{what:?}: a new one");
    }
}

fn ctr() -> Mech {
    Mech::ctr(128, [3; 16])
}

#[test]
fn a_null_mechanism_ends_what_is_under_way_and_a_new_one_begins() {
    if built::only_kmss("cancelling by a NULL mechanism") {
        return;
    }
    let work = Work::new("null-mechanism", ctr());
    for what in ALL {
        assert_eq!(work.cancel(what), ENDED, "{what:?}: nothing to cancel");
        for parts in [0, 1, 2] {
            work.begin(what).unwrap();
            refused(work.begin(what), CKR_OPERATION_ACTIVE);
            for _ in 0..parts {
                work.part(what).unwrap();
            }
            assert_eq!(work.cancel(what), Rv(CKR_OK), "{what:?} after {parts} parts");
            assert_eq!(work.cancel(what), ENDED, "{what:?}: cancelled already");
            work.has_ended(what);
        }
    }
}

#[test]
fn session_cancel_ends_what_its_flags_name_and_nothing_else() {
    if built::only_kmss("C_SessionCancel") {
        return;
    }
    let work = Work::new("session-cancel", ctr());
    let h = work.session.handle;
    let everything = ALL.map(What::flag).into_iter().fold(0, |all, one| all | one);
    assert_eq!(c!(C_SessionCancel(h, everything)), Rv(CKR_OK), "nothing is under way, which is no error");
    for named in ALL {
        for what in ALL {
            work.begin(what).unwrap();
        }
        work.part(named).unwrap();
        assert_eq!(c!(C_SessionCancel(h, 0)), Rv(CKR_OK), "no flag, no end");
        refused(work.begin(named), CKR_OPERATION_ACTIVE);
        assert_eq!(c!(C_SessionCancel(h, named.flag())), Rv(CKR_OK), "{named:?}");
        work.has_ended(named);
        for other in ALL.into_iter().filter(|what| *what != named) {
            assert_eq!(work.whole(other), Ok(work.expected(other)), "{other:?} goes on where {named:?} was cancelled");
        }
    }
    for what in ALL {
        work.begin(what).unwrap();
    }
    assert_eq!(c!(C_SessionCancel(h, everything)), Rv(CKR_OK));
    for what in ALL {
        work.has_ended(what);
    }
}

#[test]
fn an_operation_in_parts_is_not_ended_by_the_call_for_everything_at_once() {
    if built::only_kmss("CKR_OPERATION_ACTIVE for a call at once after a part") {
        return;
    }
    let work = Work::new("once-after-parts", ctr());
    for what in ALL {
        work.begin(what).unwrap();
        work.part(what).unwrap();
        refused(work.whole(what), CKR_OPERATION_ACTIVE);
        // As every error but a short buffer does, this one ends the operation (PKCS#11 3.2, 5.13.2 and its like).
        work.has_ended(what);
    }
}

type Dual = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

/// A dual function over `data` in three parts.
fn in_parts(session: &Session, function: Dual, data: &[u8], cuts: [usize; 2]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in [&data[..cuts[0]], &data[cuts[0]..cuts[1]], &data[cuts[1]..]] {
        let (at, n) = input(part);
        all.extend(filled(|out, len| Rv(unsafe { function(session.handle, at, n, out, len) })).unwrap());
    }
    all
}

#[test]
fn two_operations_at_once_give_what_each_gives_alone() {
    if built::only_kmss("dual functions") {
        return;
    }
    let cbc = Mech::bytes(CKM_AES_CBC, &[2; 16]);
    for (label, cipher, cuts) in [("dual-ctr", ctr(), [5, 47]), ("dual-cbc", cbc, [16, 64])] {
        let work = Work::new(label, cipher);
        let session = &work.session;
        for (cipher, other, function) in [
            (Encrypt, Digest, list().C_DigestEncryptUpdate.unwrap()),
            (Decrypt, Digest, list().C_DecryptDigestUpdate.unwrap()),
            (Encrypt, Sign, list().C_SignEncryptUpdate.unwrap()),
            (Decrypt, Verify, list().C_DecryptVerifyUpdate.unwrap()),
        ] {
            work.begin(cipher).unwrap();
            work.begin(other).unwrap();
            let out = in_parts(session, function, work.data(cipher), cuts);
            assert_eq!(out, work.expected(cipher), "{label}: {cipher:?} with {other:?}");
            assert_eq!(work.last(cipher), Ok(Vec::new()), "{label}: whole blocks leave nothing for the end");
            assert_eq!(work.last(other), Ok(work.expected(other)), "{label}: {other:?} with {cipher:?}");
        }
        // Another ciphertext is another plaintext, whose MAC is another.
        let mut altered = work.sealed.clone();
        altered[40] ^= 1;
        work.begin(Decrypt).unwrap();
        work.begin(Verify).unwrap();
        let out = in_parts(session, list().C_DecryptVerifyUpdate.unwrap(), &altered, cuts);
        assert_ne!(out, TEXT);
        assert_eq!(work.last(Verify), Err(Rv(CKR_SIGNATURE_INVALID)));
        work.last(Decrypt).unwrap();
    }
    let slot = module().slot_of("dual-ctr").unwrap();
    assert_ne!(module().token_info(slot).unwrap().flags & CKF_DUAL_CRYPTO_OPERATIONS, 0, "the token says so");
}

#[test]
fn two_operations_at_once_work_in_place() {
    if built::only_kmss("dual functions") {
        return;
    }
    let work = Work::new("dual-in-place", ctr());
    let h = work.session.handle;
    let (mut buffer, n) = (TEXT, TEXT.len() as CK_ULONG);
    work.begin(Encrypt).unwrap();
    work.begin(Sign).unwrap();
    let (at, mut len) = (buffer.as_mut_ptr(), n);
    assert_eq!(c!(C_SignEncryptUpdate(h, at, n, at, &raw mut len)), Rv(CKR_OK));
    assert_eq!((len, &buffer[..]), (n, &work.sealed[..]));
    assert_eq!(work.last(Sign), Ok(work.mac.clone()), "the plaintext is signed, not what took its place");
    work.last(Encrypt).unwrap();
    work.begin(Decrypt).unwrap();
    work.begin(Verify).unwrap();
    let at = buffer.as_mut_ptr();
    assert_eq!(c!(C_DecryptVerifyUpdate(h, at, n, at, &raw mut len)), Rv(CKR_OK));
    assert_eq!((len, buffer), (n, TEXT));
    assert_eq!(work.last(Verify), Ok(Vec::new()));
}

#[test]
fn a_dual_function_without_room_leaves_both_as_they_were_and_one_without_a_partner_is_refused() {
    if built::only_kmss("dual functions") {
        return;
    }
    let work = Work::new("dual-room", ctr());
    let h = work.session.handle;
    for (cipher, other, function) in [
        (Encrypt, Digest, list().C_DigestEncryptUpdate.unwrap()),
        (Decrypt, Digest, list().C_DecryptDigestUpdate.unwrap()),
        (Encrypt, Sign, list().C_SignEncryptUpdate.unwrap()),
        (Decrypt, Verify, list().C_DecryptVerifyUpdate.unwrap()),
    ] {
        let ((data, n), (mut out, mut len)) = (input(work.data(cipher)), ([0_u8; 96], 0));
        work.begin(cipher).unwrap();
        work.begin(other).unwrap();
        let asked = unsafe { function(h, data, n, null_mut(), &raw mut len) };
        assert_eq!((Rv(asked), len), (Rv(CKR_OK), n), "{cipher:?} with {other:?}: NULL asks for the length");
        len = n - 1;
        let short = unsafe { function(h, data, n, out.as_mut_ptr(), &raw mut len) };
        assert_eq!((Rv(short), len), (Rv(CKR_BUFFER_TOO_SMALL), n), "{cipher:?} with {other:?}: a byte is missing");
        assert_eq!(out, [0; 96], "nothing is written where there is no room");
        let fits = unsafe { function(h, data, n, out.as_mut_ptr(), &raw mut len) };
        assert_eq!((Rv(fits), len), (Rv(CKR_OK), n), "{cipher:?} with {other:?}: enough room");
        assert_eq!(out.to_vec(), work.expected(cipher));
        assert_eq!(work.last(other), Ok(work.expected(other)), "{other:?} saw the data once");
        work.last(cipher).unwrap();
        for alone in [cipher, other] {
            work.begin(alone).unwrap();
            let refusal = unsafe { function(h, data, n, out.as_mut_ptr(), &raw mut len) };
            assert_eq!(Rv(refusal), ENDED, "{alone:?} alone");
            assert_eq!(c!(C_SessionCancel(h, alone.flag())), Rv(CKR_OK));
        }
    }
}

#[test]
fn a_signature_given_first_is_verified_at_the_end() {
    if built::only_kmss("C_VerifySignature") {
        return;
    }
    let session = token("signature-first").user();
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let hmac = secret(&session, CKK_GENERIC_SECRET, &[4; 32]);
    let h = session.handle;
    for (kind, signing, verifying) in [(CKM_ECDSA_SHA256, private, public), (CKM_SHA256_HMAC, hmac, hmac)] {
        let good = session.sign(kind, signing, &TEXT).unwrap();
        let mut wrong = good.clone();
        wrong[20] ^= 1;
        let init = |signature: &[u8]| {
            let (at, n) = input(signature);
            Mech::new(kind).with(|m| c!(C_VerifySignatureInit(h, m, verifying, at, n)))
        };
        let at_once = |data: &[u8]| {
            let (data, n) = input(data);
            c!(C_VerifySignature(h, data, n))
        };
        let update = |data: &[u8]| {
            let (data, n) = input(data);
            c!(C_VerifySignatureUpdate(h, data, n))
        };
        assert_eq!(at_once(&TEXT), ENDED, "nothing was begun");
        for (signature, data, answer) in [
            (&good[..], &TEXT[..], CKR_OK),
            (&good[..], &TEXT[1..], CKR_SIGNATURE_INVALID),
            (&wrong[..], &TEXT[..], CKR_SIGNATURE_INVALID),
            (&good[1..], &TEXT[..], CKR_SIGNATURE_LEN_RANGE),
        ] {
            // What the caller does with its memory afterwards does not matter.
            let mut given = signature.to_vec();
            assert_eq!(init(&given), Rv(CKR_OK));
            given.fill(0);
            assert_eq!(init(&given), Rv(CKR_OPERATION_ACTIVE));
            assert_eq!(at_once(data), Rv(answer), "0x{kind:x} at once");
            assert_eq!(at_once(data), ENDED, "any answer ends it");
            assert_eq!(init(signature), Rv(CKR_OK));
            assert_eq!(update(&data[..7]), Rv(CKR_OK));
            assert_eq!(update(&data[7..]), Rv(CKR_OK));
            assert_eq!(c!(C_VerifySignatureFinal(h)), Rv(answer), "0x{kind:x} in parts");
            assert_eq!(c!(C_VerifySignatureFinal(h)), ENDED, "any answer ends it");
        }
        // Parts and everything at once do not mix.
        assert_eq!(init(&good), Rv(CKR_OK));
        assert_eq!(update(&TEXT), Rv(CKR_OK));
        assert_eq!(at_once(&TEXT), Rv(CKR_OPERATION_ACTIVE));
        assert_eq!(c!(C_VerifySignatureFinal(h)), ENDED);
        // It is cancelled as the others are.
        assert_eq!(init(&good), Rv(CKR_OK));
        assert_eq!(c!(C_VerifySignatureInit(h, null_mut(), 0, null_mut(), 0)), Rv(CKR_OK));
        assert_eq!(at_once(&TEXT), ENDED);
        assert_eq!(init(&good), Rv(CKR_OK));
        assert_eq!(c!(C_SessionCancel(h, CKF_VERIFY)), Rv(CKR_OK));
        assert_eq!(at_once(&TEXT), ENDED);
        assert_eq!(c!(C_VerifySignatureInit(h, null_mut(), 0, null_mut(), 0)), ENDED);
    }
}

#[test]
fn no_validation_is_claimed() {
    if built::only_kmss("C_GetSessionValidationFlags") {
        return;
    }
    let session = token("validation").user();
    let (h, mut flags) = (session.handle, CK_FLAGS::MAX);
    assert_eq!(c!(C_GetSessionValidationFlags(h, CKS_LAST_VALIDATION_OK, &raw mut flags)), Rv(CKR_OK));
    assert_eq!(flags, 0, "nothing here is validated");
    flags = 7;
    assert_eq!(c!(C_GetSessionValidationFlags(h, 99, &raw mut flags)), Rv(CKR_ARGUMENTS_BAD));
    assert_eq!(flags, 7, "a refusal writes nothing");
    assert_eq!(c!(C_GetSessionValidationFlags(h, CKS_LAST_VALIDATION_OK, null_mut())), Rv(CKR_ARGUMENTS_BAD));
    session.close().unwrap();
    let closed = c!(C_GetSessionValidationFlags(h, CKS_LAST_VALIDATION_OK, &raw mut flags));
    assert_eq!(closed, Rv(CKR_SESSION_HANDLE_INVALID));
}

#[test]
fn the_size_of_an_object_grows_with_what_it_holds() {
    if built::only_kmss("sizes of objects") {
        return;
    }
    let session = token("sizes").user();
    let h = session.handle;
    let size = |object| {
        let mut size = 0;
        c!(C_GetObjectSize(h, object, &raw mut size)).ok().map(|()| size)
    };
    let data = |length: usize| {
        let template = [ulong(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, false), raw(CKA_VALUE, vec![1_u8; length])];
        session.create(&template).unwrap()
    };
    let (short, long) = (data(10), data(910));
    assert!(size(short).unwrap() >= 10);
    assert_eq!(size(long).unwrap() - size(short).unwrap(), 900);
    session.set(short, &[text(CKA_LABEL, "twenty bytes of name")]).unwrap();
    assert_eq!(size(long).unwrap() - size(short).unwrap(), 880);
    // Of a key that shows nothing of its value, too.
    let hidden = [ulong(CKA_VALUE_LEN, 32), flag(CKA_SENSITIVE, true), flag(CKA_EXTRACTABLE, false)];
    for stored in [false, true] {
        let key = session.generate(CKM_AES_KEY_GEN, &[&hidden[..], &[flag(CKA_TOKEN, stored)]].concat()).unwrap();
        assert!((32..100_000).contains(&size(key).unwrap()), "{:?}", size(key));
        assert_eq!(c!(C_GetObjectSize(h, key, null_mut())), Rv(CKR_ARGUMENTS_BAD));
        session.destroy(key).unwrap();
        refused(size(key), CKR_OBJECT_HANDLE_INVALID);
    }
    // What nobody made takes no room.
    let profile = session.find(&[ulong(CKA_CLASS, CKO_PROFILE)]).unwrap()[0];
    assert_eq!(size(profile), Ok(0));
}

#[test]
fn nobody_seeds_the_generator_and_it_works_all_the_same() {
    if built::only_kmss("a generator that takes no seeds") {
        return;
    }
    let token = token("seeds");
    let flags = module().token_info(token.slot).unwrap().flags;
    assert_eq!(flags & (CKF_RNG | CKF_SEED_RANDOM_REQUIRED), CKF_RNG, "a generator, and none that waits for a seed");
    let session = token.user();
    let h = session.handle;
    let (seed, n) = input(b"the same seed for both of us");
    let drawn = [(), ()].map(|()| {
        assert_eq!(c!(C_SeedRandom(h, seed, n)), Rv(CKR_RANDOM_SEED_NOT_SUPPORTED));
        session.random(32).unwrap()
    });
    assert_ne!(drawn[0], drawn[1]);
    assert_eq!(c!(C_SeedRandom(h, null_mut(), 5)), Rv(CKR_ARGUMENTS_BAD));
    session.close().unwrap();
    assert_eq!(c!(C_SeedRandom(h, seed, n)), Rv(CKR_SESSION_HANDLE_INVALID));
}
