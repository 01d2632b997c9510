//! Signed notes (C2SP signed-note): text, an empty line, and lines with signatures.

use base64ct::{Base64, Encoding as _};

use crate::error::ProofError;
use crate::key::{VerifierKey, is_name};

/// Longest note in bytes.
pub const MAX_NOTE: usize = 64 << 10;
/// Most signatures of a note.
pub const MAX_SIGNATURES: usize = 100;

/// How a line with a signature begins: U+2014 and a space.
const SIGNATURE: &str = "\u{2014} ";

/// A signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// The key's number among those with this name.
    pub id: u32,
    /// The signature itself.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// Reads the line of a signature, without its line feed.
    ///
    /// # Errors
    /// [`ProofError::Note`].
    pub fn parse(line: &str) -> Result<Self, ProofError> {
        let bad = ProofError::Note("a line with a signature is damaged");
        let (name, encoded) =
            line.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once(' ')).ok_or_else(|| bad.clone())?;
        let bytes = Base64::decode_vec(encoded).map_err(|_| bad.clone())?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or_else(|| bad.clone())?;
        if !is_name(name) || signature.is_empty() {
            return Err(bad);
        }
        Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), signature: signature.to_vec() })
    }

    /// Its line, with a line feed.
    #[must_use]
    pub fn line(&self) -> String {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.signature].concat();
        format!("{SIGNATURE}{} {}\n", self.name, Base64::encode_string(&bytes))
    }
}

/// A note. Nothing is known of it before one of its signatures was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note of `text`, which ends with a line feed, without signatures yet.
    ///
    /// # Errors
    /// [`ProofError::Note`].
    pub fn new(text: String) -> Result<Self, ProofError> {
        if !text.ends_with('\n') || text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(ProofError::Note("its text does not end with a line feed, or holds control characters"));
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`ProofError::Note`].
    pub fn parse(note: &str) -> Result<Self, ProofError> {
        if note.len() > MAX_NOTE {
            return Err(ProofError::Note("it is too long"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(ProofError::Note("it has no signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(ProofError::Note("it does not end with a line feed"))?;
        let mut this = Self::new(format!("{text}\n"))?;
        this.signatures =
            lines.split('\n').take(MAX_SIGNATURES + 1).map(NoteSignature::parse).collect::<Result<_, _>>()?;
        if this.signatures.len() > MAX_SIGNATURES {
            return Err(ProofError::Note("it has too many signatures"));
        }
        Ok(this)
    }

    /// Its text, which signatures are over.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures, none of them verified.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Which of `keys` signed it, by their places.
    ///
    /// # Errors
    /// [`ProofError::Unsigned`] where none did, [`ProofError::BadSignature`] where a signature that names one of them is wrong.
    pub fn signed_by(&self, keys: &[&VerifierKey]) -> Result<Vec<usize>, ProofError> {
        let mut found = Vec::new();
        for signature in &self.signatures {
            let named = keys.iter().enumerate().filter(|(_, k)| k.name() == signature.name && k.id() == signature.id);
            for (place, key) in named {
                if !key.verifies(&self.text, &signature.signature) {
                    return Err(ProofError::BadSignature);
                }
                found.push(place);
            }
        }
        if found.is_empty() { Err(ProofError::Unsigned) } else { Ok(found) }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| f.write_str(&signature.line()))
    }
}

/// Splits a file with one note after the other, whose texts have no empty lines, as those of checkpoints. What is left over
/// at the end stands for itself.
pub fn split_notes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        let (mut at, mut signatures) = (0, false);
        for line in rest.split_inclusive('\n') {
            if signatures && !line.starts_with(SIGNATURE) {
                break;
            }
            signatures |= line.starts_with(SIGNATURE);
            at += line.len();
        }
        let (note, left) = rest.split_at_checked(at)?;
        rest = left;
        (!note.is_empty()).then_some(note)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    // The example of C2SP signed-note.
    const EXAMPLE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let note = Note::parse(EXAMPLE).unwrap();
        assert!(note.text().ends_with("\n\ned è subito sera.\n"));
        let [signature] = note.signatures() else { panic!("one signature") };
        assert_eq!((signature.name.as_str(), signature.id), ("quasimodo.example/salvatore", 0x367b_a04b));
        assert_eq!(signature.signature.len(), 64);
        assert_eq!(note.to_string(), EXAMPLE);
        assert_eq!(note.signed_by(&[]).unwrap_err(), ProofError::Unsigned);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for bad in [
            String::new(),
            "\n\n".to_owned(),
            "a\n".to_owned(),
            "a\n\n".to_owned(),
            EXAMPLE.trim_end().to_owned(),
            EXAMPLE.replace('\u{2014}', "-"),
            EXAMPLE.replace("salvatore ", "salvatore  "),
            EXAMPLE.replace("salvatore", "salva+tore"),
            EXAMPLE.replace("NnugSz", "N!ugSz"),
            EXAMPLE.replace("Ognuno", "Ognuno\t"),
            EXAMPLE.replace(
                "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=",
                "NnugSw==",
            ),
            format!("{EXAMPLE}\n"),
            format!("{EXAMPLE}{EXAMPLE}").replace("\n\n", "\n"),
            format!("a\n\n{}", EXAMPLE.lines().last().map(|l| format!("{l}\n")).unwrap().repeat(101)),
            "x".repeat(MAX_NOTE + 1),
        ] {
            assert!(Note::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn notes_one_after_the_other_are_told_apart() {
        let one = "a\n1\n\n\u{2014} k AAAAAAAA\n";
        let two = "b\n\n\u{2014} k AAAAAAAA\n\u{2014} l AAAAAAAA\n";
        for text in [format!("{one}{two}"), format!("\n{one}\n\n{two}\n")] {
            assert_eq!(split_notes(&text).collect::<Vec<_>>(), [one, two]);
        }
        assert_eq!(split_notes(&format!("{one}c\n2")).collect::<Vec<_>>(), [one, "c\n2"]);
        assert_eq!(split_notes("\n\n").count(), 0);
    }

    #[test]
    fn another_implementation_reads_the_same() {
        let theirs = signed_note::Note::from_bytes(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(theirs.text(), Note::parse(EXAMPLE).unwrap().text().as_bytes());
    }
}
