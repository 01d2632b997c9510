//! CKA_PARAMETER_SET: the sets of post-quantum keys (PKCS#11 3.2, 6.67 to 6.69).

use cryptoki_sys::{self as c, CK_ULONG, CKR_PARAMETER_SET_NOT_SUPPORTED, CKR_TEMPLATE_INCOMPLETE};
use libkmss::mechanism::{KeyType, MlDsaSet, MlKemSet, PqcSet, SlhDsaSet};

use crate::raw::template::Template;
use crate::rv::{Result, Rv};

/// The set that a template names for keys of a type.
///
/// # Errors
/// CKR_TEMPLATE_INCOMPLETE where it names none, CKR_PARAMETER_SET_NOT_SUPPORTED for one that is not the type's.
pub(crate) fn parse(template: &Template, key_type: KeyType) -> Result<PqcSet> {
    let wanted = template.number(c::CKA_PARAMETER_SET)?.ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))?;
    PqcSet::all()
        .find(|set| set.key_type() == key_type && number(*set) == wanted)
        .ok_or(Rv(CKR_PARAMETER_SET_NOT_SUPPORTED))
}

/// The number of a set; each type of key counts its own.
pub(crate) const fn number(set: PqcSet) -> CK_ULONG {
    match set {
        PqcSet::MlDsa(set) => match set {
            MlDsaSet::MlDsa44 => c::CKP_ML_DSA_44,
            MlDsaSet::MlDsa65 => c::CKP_ML_DSA_65,
            MlDsaSet::MlDsa87 => c::CKP_ML_DSA_87,
        },
        PqcSet::MlKem(set) => match set {
            MlKemSet::MlKem512 => c::CKP_ML_KEM_512,
            MlKemSet::MlKem768 => c::CKP_ML_KEM_768,
            MlKemSet::MlKem1024 => c::CKP_ML_KEM_1024,
        },
        PqcSet::SlhDsa(set) => match set {
            SlhDsaSet::Sha2_128s => c::CKP_SLH_DSA_SHA2_128S,
            SlhDsaSet::Shake128s => c::CKP_SLH_DSA_SHAKE_128S,
            SlhDsaSet::Sha2_128f => c::CKP_SLH_DSA_SHA2_128F,
            SlhDsaSet::Shake128f => c::CKP_SLH_DSA_SHAKE_128F,
            SlhDsaSet::Sha2_192s => c::CKP_SLH_DSA_SHA2_192S,
            SlhDsaSet::Shake192s => c::CKP_SLH_DSA_SHAKE_192S,
            SlhDsaSet::Sha2_192f => c::CKP_SLH_DSA_SHA2_192F,
            SlhDsaSet::Shake192f => c::CKP_SLH_DSA_SHAKE_192F,
            SlhDsaSet::Sha2_256s => c::CKP_SLH_DSA_SHA2_256S,
            SlhDsaSet::Shake256s => c::CKP_SLH_DSA_SHAKE_256S,
            SlhDsaSet::Sha2_256f => c::CKP_SLH_DSA_SHA2_256F,
            SlhDsaSet::Shake256f => c::CKP_SLH_DSA_SHAKE_256F,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: CK_ULONG) -> Template {
        Template::of(&[(c::CKA_PARAMETER_SET, &number.to_ne_bytes())])
    }

    #[test]
    fn every_set_has_a_number_among_those_of_its_type() {
        for set in PqcSet::all() {
            assert_eq!(parse(&named(number(set)), set.key_type()), Ok(set));
        }
    }

    #[test]
    fn a_missing_set_and_a_foreign_one_are_told_apart() {
        assert_eq!(parse(&Template::of(&[]), KeyType::MlDsa), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
        for (number, key_type) in [(0, KeyType::MlKem), (4, KeyType::MlDsa), (13, KeyType::SlhDsa)] {
            assert_eq!(parse(&named(number), key_type), Err(Rv(CKR_PARAMETER_SET_NOT_SUPPORTED)));
        }
    }
}
