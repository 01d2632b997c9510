//! SM2, SM3 and SM4 (GB/T 32918, 32905, 32907).

use libkmss::error::ErrorKind;
use libkmss::key::KeySpec;
use libkmss::mechanism::{BlockCipher, Curve, Hash, KeyType, MacMechanism, Mechanism, Sm2Mechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::Bench;
use crate::macs;
use crate::signing::{MESSAGE, Message, flip, signs};
use crate::symmetric;
use crate::verdict::{Check, refused, same};

/// A ready digest.
const DIGEST: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let id = || Sm2Mechanism::DEFAULT_ID.to_vec();
    let sign =
        |label: &str, how, message| signs(Group::Sm, label, KeySpec::Ec(Curve::Sm2), Mechanism::Sm2(how), message);
    let mut all = vec![
        sign("SM2 of a ready digest", Sm2Mechanism::SignDigest, Message::Exact(DIGEST)),
        sign("SM3_SM2", Sm2Mechanism::SignSm3 { id: id() }, Message::Any),
        sign("SM3_SM2 with an identity", Sm2Mechanism::SignSm3 { id: b"alice@example.com".to_vec() }, Message::Any),
        sign("SM3_SM2_DER", Sm2Mechanism::SignSm3Der { id: id() }, Message::Any),
        Behaviour::new(Group::Sm, "a key of SM2 decrypts by SM2_ENCRYPT", decrypts),
    ];
    // Of the others the software engine could tell nothing.
    let offered =
        |mode: &symmetric::Mode| ["_ECB", "_CBC", "_CTR", "_GCM"].iter().any(|word| mode.label.contains(word));
    let modes = symmetric::modes(BlockCipher::Sm4, KeyType::Sm4, 16).into_iter().filter(offered);
    all.extend(modes.flat_map(symmetric::both));
    let hmac = MacMechanism::Hmac { hash: Hash::Sm3, len: 32 };
    all.extend(macs::both(Group::Sm, "", KeyType::GenericSecret, 32, hmac));
    all
}

fn decrypts(bench: &Bench<'_>) -> Check {
    let how = Mechanism::Sm2(Sm2Mechanism::Encrypt);
    let pair = bench.pair(&KeySpec::Ec(Curve::Sm2))?;
    let mirror = bench.mirror(&pair.public)?;
    let mut ciphertext = bench.reference.encrypt(&mirror, &how, &[MESSAGE])?;
    same("what comes back", bench.tested.decrypt(&pair.private, &how, &[&ciphertext])?.as_slice(), MESSAGE)?;
    let own = bench.tested.encrypt(&pair.public, &how, &[MESSAGE])?;
    same("what comes back of its own", bench.tested.decrypt(&pair.private, &how, &[&own])?.as_slice(), MESSAGE)?;
    flip(&mut ciphertext);
    let kinds = [ErrorKind::EncryptedDataInvalid];
    refused("an altered ciphertext", bench.tested.decrypt(&pair.private, &how, &[&ciphertext]), &kinds)
}
