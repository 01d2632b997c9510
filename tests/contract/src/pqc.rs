//! Post-quantum signatures and encapsulation (FIPS 203 to 205).

use libkmss::key::KeySpec;
use libkmss::mechanism::{
    Hedge, Mechanism, MlDsaSet, MlKemSet, PqcHash, PqcInput, PqcMechanism, PqcSet, PqcSignature, SlhDsaSet,
};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, generic};
use crate::signing::{Message, flip, signs};
use crate::verdict::{Check, ensure, same};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let ml = |set| KeySpec::Pqc(PqcSet::MlDsa(set));
    let slh = || KeySpec::Pqc(PqcSet::SlhDsa(SlhDsaSet::Sha2_128f));
    let plain = PqcSignature::plain;
    let sign = |label: &str, spec, how| signs(Group::PostQuantum, label, spec, Mechanism::Pqc(how), Message::Any);
    let mut all = Vec::new();
    for set in [MlDsaSet::MlDsa44, MlDsaSet::MlDsa65, MlDsaSet::MlDsa87] {
        all.push(sign("ML_DSA", ml(set), PqcMechanism::MlDsa(plain(PqcInput::Message))));
    }
    let hashed = PqcInput::Hashed(PqcHash::Sha256);
    all.push(sign("HASH_ML_DSA_SHA256", ml(MlDsaSet::MlDsa65), PqcMechanism::MlDsa(plain(hashed))));
    if let Ok(with) = PqcSignature::new(PqcInput::Message, Hedge::Preferred, b"context".to_vec()) {
        all.push(sign("ML_DSA with a context", ml(MlDsaSet::MlDsa65), PqcMechanism::MlDsa(with)));
    }
    all.push(sign("SLH_DSA", slh(), PqcMechanism::SlhDsa(plain(PqcInput::Message))));
    for set in [MlKemSet::MlKem512, MlKemSet::MlKem768, MlKemSet::MlKem1024] {
        let name = format!("{} brings a secret over, both ways", PqcSet::MlKem(set).name());
        all.push(Behaviour::new(Group::PostQuantum, name, move |bench| encapsulates(bench, set)));
    }
    all
}

fn encapsulates(bench: &Bench<'_>, set: MlKemSet) -> Check {
    let how = Mechanism::Pqc(PqcMechanism::MlKem);
    let pair = bench.pair(&KeySpec::Pqc(PqcSet::MlKem(set)))?;
    let mirror = bench.mirror(&pair.public)?;
    let (theirs, mut ciphertext) = bench.reference.encapsulate(&mirror, &how, generic(MlKemSet::SHARED))?;
    let ours = bench.tested.decapsulate(&pair.private, &how, &ciphertext, generic(MlKemSet::SHARED))?;
    bench.same_secret("the decapsulated secret", &ours, &theirs)?;
    let (own, sent) = bench.tested.encapsulate(&pair.public, &how, generic(MlKemSet::SHARED))?;
    same("the length of the ciphertext", &sent.len(), &set.ciphertext_len())?;
    let received = bench.tested.decapsulate(&pair.private, &how, &sent, generic(MlKemSet::SHARED))?;
    let expected = bench.tested.export(&own)?;
    ensure(bench.tested.export(&received)? == expected, || "its own secret did not come over".to_owned())?;
    // FIPS 203, 6.3: an altered ciphertext yields another secret, and no error.
    flip(&mut ciphertext);
    let other = bench.tested.decapsulate(&pair.private, &how, &ciphertext, generic(MlKemSet::SHARED))?;
    ensure(bench.same_secret("", &other, &theirs).is_err(), || "an altered ciphertext yields the secret".to_owned())
}
