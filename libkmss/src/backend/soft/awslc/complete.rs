//! Completes RSA private keys that come without their primes or CRT values.

use std::cmp::Ordering;

use super::bn::{Arithmetic, Bn};
use super::{Failed, RsaPrivate};

/// How many random bases are tried; each fails for a sound key with probability 1/2.
const ATTEMPTS: usize = 100;

/// The key with all numbers. It must have n and two of {d}, {e}, {p, q}.
///
/// Nothing is checked here beyond what the computation needs: [`super::Rsa::from_private`] checks the result. This runs
/// once per imported key; only the exponentiations are in constant time.
pub(in super::super) fn complete(key: &RsaPrivate) -> Result<RsaPrivate, Failed> {
    let a = Arithmetic::new()?;
    let n = Bn::from_bytes(&key.n)?;
    if !n.is_odd() {
        return Err(Failed);
    }
    let given = |bytes: &[u8]| if bytes.is_empty() { Ok(None) } else { Bn::from_bytes(bytes).map(Some) };
    let (e, d) = (given(&key.e)?, given(key.d.expose())?);
    let (p, q) = match (given(key.p.expose())?, given(key.q.expose())?) {
        (Some(p), Some(q)) => (p, q),
        _ => factor(&a, &n, e.as_ref().ok_or(Failed)?, d.as_ref().ok_or(Failed)?)?,
    };
    if p.is_zero() || p.is_one() || q.is_zero() || q.is_one() {
        return Err(Failed);
    }
    let (p1, q1) = (p.minus_one()?, q.minus_one()?);
    let lambda = a.div(&a.mul(&p1, &q1)?, &a.gcd(&p1, &q1)?)?;
    let (e, d) = match (e, d) {
        (Some(e), Some(d)) => (e, d),
        (None, Some(d)) => (a.inverse(&a.modulo(&d, &lambda)?, &lambda)?, d),
        (Some(e), None) => {
            let d = a.inverse(&e, &lambda)?;
            (e, d)
        }
        (None, None) => return Err(Failed),
    };
    Ok(RsaPrivate {
        n: key.n.clone(),
        e: e.to_secret()?.expose().to_vec(),
        dp: a.modulo(&d, &p1)?.to_secret()?,
        dq: a.modulo(&d, &q1)?.to_secret()?,
        qinv: a.inverse(&a.modulo(&q, &p)?, &p)?.to_secret()?,
        d: d.to_secret()?,
        p: p.to_secret()?,
        q: q.to_secret()?,
    })
}

/// The primes of n, the larger one first (SP 800-56B revision 2, appendix C.1).
fn factor(a: &Arithmetic, n: &Bn, e: &Bn, d: &Bn) -> Result<(Bn, Bn), Failed> {
    let k = a.mul(d, e)?.minus_one()?;
    if k.is_zero() || k.is_odd() {
        return Err(Failed);
    }
    let t = k.low_zero_bits();
    let r = k.shifted_right(t)?;
    let n1 = n.minus_one()?;
    for _ in 0..ATTEMPTS {
        let g = n.random_below()?;
        let mut y = a.mod_exp(&g, &r, n)?;
        let mut squarings = 0;
        while !y.is_zero() && !y.is_one() && y.compare(&n1) != Ordering::Equal {
            if squarings == t {
                // For a sound key every base ends in 1: do not try others.
                return Err(Failed);
            }
            squarings += 1;
            let square = a.mod_mul(&y, &y, n)?;
            if square.is_one() {
                let p = a.gcd(&y.minus_one()?, n)?;
                let q = a.div(n, &p)?;
                return Ok(if p.compare(&q) == Ordering::Less { (q, p) } else { (p, q) });
            }
            y = square;
        }
    }
    Err(Failed)
}
