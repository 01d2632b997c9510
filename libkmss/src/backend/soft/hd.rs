//! Hierarchical deterministic keys: BIP-32 on secp256k1, SLIP-10 on P-256 and Ed25519.
//!
//! A node is a private key and a chain code. Neither leaves: what comes out is the last node's key, and a chain code is in nobody's
//! hands, so that no child betrays its parent (BIP-32, security).

use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::awslc::{Hmac, in_vault};
use super::keys::Parsed;
use super::{material, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Curve, Hash, HdDerivation, HdPath, KeyType};
use crate::secret::Secret;

/// Length of a private key, and of a chain code.
const HALF: usize = 32;
/// The order of secp256k1 (SEC 2, 2.4.1), lowest limb first.
const SECP256K1: Limbs = [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff];
/// The order of P-256 (SP 800-186, 3.2.1.3), lowest limb first.
const P256: Limbs = [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000];

type Limbs = [u64; 4];

/// The pair at the end of the path that begins at `seed`.
pub(super) fn derive(seed: &Parsed, how: &HdDerivation) -> Result<Parsed> {
    let Parsed::Secret(seed) = seed else { return Err(wrong_key()) };
    if seed.key_type != KeyType::GenericSecret {
        return Err(wrong_key());
    }
    if !HdDerivation::SEEDS.contains(&seed.value.len()) {
        return Err(Error::new(ErrorKind::KeySize, "a seed has 16 to 64 bytes"));
    }
    let mut node = Node::master(how.curve(), &seed.value)?;
    for step in how.path().steps() {
        node = node.child(*step)?;
    }
    node.key()
}

/// A private key, and behind it the chain code.
struct Node {
    curve: Curve,
    both: Secret,
}

impl Node {
    /// BIP-32, master key generation; SLIP-10, the same.
    fn master(curve: Curve, seed: &Secret) -> Result<Self> {
        let salt: &[u8] = match curve {
            Curve::P256 => b"Nist256p1 seed",
            Curve::Ed25519 => b"ed25519 seed",
            _ => b"Bitcoin seed",
        };
        let mut both = hmac(salt, &[seed.expose()])?;
        while !is_key(curve, half(&both)?) {
            // SLIP-10 hashes on; BIP-32 knows no second try.
            both = if curve == Curve::P256 { hmac(salt, &[both.expose()])? } else { return Err(none()) };
        }
        Ok(Self { curve, both })
    }

    /// BIP-32, CKDpriv; SLIP-10, private parent key → private child key.
    fn child(&self, step: u32) -> Result<Self> {
        let index = step.to_be_bytes();
        let (parent, chain) = self.both.expose().split_first_chunk::<HALF>().ok_or_else(broken)?;
        let mut made = match HdPath::is_hardened(step) {
            true => hmac(chain, &[&[0], parent, &index])?,
            false => hmac(chain, &[&self.point()?, &index])?,
        };
        if self.curve == Curve::Ed25519 {
            return Ok(Self { curve: self.curve, both: made });
        }
        let order = order(self.curve);
        loop {
            let (tweak, next) = made.expose().split_first_chunk::<HALF>().ok_or_else(broken)?;
            let (tweak, parent) = (Zeroizing::new(limbs(tweak)), Zeroizing::new(limbs(parent)));
            let key = Zeroizing::new(bytes(&sum(&tweak, &parent, order)));
            if is_below(&tweak, order) && is_key(self.curve, &key) {
                let both = Secret::of_len(2 * HALF, |out| {
                    out.iter_mut().zip(key.iter().chain(next)).for_each(|(to, from)| *to = *from);
                });
                return Ok(Self { curve: self.curve, both });
            }
            if self.curve != Curve::P256 {
                return Err(none());
            }
            made = hmac(chain, &[&[1], next, &index])?;
        }
    }

    fn key(&self) -> Result<Parsed> {
        in_vault(|| material::from_scalar(self.curve, &Secret::copy_of(half(&self.both)?)))
    }

    /// The public key, compressed (SEC 1, 2.3.3).
    fn point(&self) -> Result<Vec<u8>> {
        let point = match self.key()? {
            Parsed::K256(key) => key.point(),
            Parsed::Ec(key) => key.point()?,
            _ => return Err(broken()),
        };
        let (x, last) = (point.get(1..=HALF).ok_or_else(broken)?, point.last().ok_or_else(broken)?);
        Ok([[2 + (last & 1)].as_slice(), x].concat())
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<Secret> {
    let mut mac = in_vault(|| Hmac::new(Hash::Sha512, key))?;
    for part in parts {
        mac.update(part)?;
    }
    Secret::filled(2 * HALF, |out| mac.finish(out).map(|_| ()).map_err(Error::from))
}

fn half(both: &Secret) -> Result<&[u8; HALF]> {
    both.expose().first_chunk().ok_or_else(broken)
}

const fn order(curve: Curve) -> &'static Limbs {
    match curve {
        Curve::P256 => &P256,
        _ => &SECP256K1,
    }
}

/// Whether 32 bytes are a private key: of Ed25519 all are, of the others those from 1 to the order.
fn is_key(curve: Curve, key: &[u8; HALF]) -> bool {
    let number = Zeroizing::new(limbs(key));
    curve == Curve::Ed25519 || (is_below(&number, order(curve)) && number.iter().fold(0, |all, limb| all | limb) != 0)
}

fn limbs(bytes: &[u8; HALF]) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, eight) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *limb = eight.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    limbs
}

fn bytes(limbs: &Limbs) -> [u8; HALF] {
    let mut bytes = [0; HALF];
    let all = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    bytes
}

/// `a` − `b`, and whether that is below zero.
fn minus(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (mut difference, mut borrow) = ([0; 4], 0);
    for ((to, a), b) in difference.iter_mut().zip(a).zip(b) {
        let wide = u128::from(*a).wrapping_sub(u128::from(*b)).wrapping_sub(u128::from(borrow));
        *to = wide as u64;
        borrow = (wide >> 64) as u64 & 1;
    }
    (difference, borrow)
}

fn is_below(number: &Limbs, order: &Limbs) -> bool {
    minus(number, order).1 == 1
}

/// `a` + `b` modulo `order`, of numbers below it, in constant time.
fn sum(a: &Limbs, b: &Limbs, order: &Limbs) -> Limbs {
    let (mut sum, mut carry) = ([0; 4], 0);
    for ((to, a), b) in sum.iter_mut().zip(a).zip(b) {
        let wide = u128::from(*a) + u128::from(*b) + u128::from(carry);
        *to = wide as u64;
        carry = (wide >> 64) as u64;
    }
    let (less, borrow) = minus(&sum, order);
    // It was below the order where taking that away borrows more than was carried.
    let below = Choice::from((borrow & !carry & 1) as u8);
    let mut reduced = [0; 4];
    for ((to, less), sum) in reduced.iter_mut().zip(&less).zip(&sum) {
        *to = u64::conditional_select(less, sum, below);
    }
    reduced
}

fn none() -> Error {
    Error::new(ErrorKind::MechanismParameter, "there is no key at this path (BIP-32): choose the next number")
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "a node of a tree of keys is not whole")
}
