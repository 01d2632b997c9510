//! Checkpoints (C2SP tlog-checkpoint): the size and root of a tree, signed.
//!
//! Those of KMSS have extension lines: `time <milliseconds>`, when it was signed as the home's clock says, and in
//! certificates of keys `epoch <number> <key>`.

use crate::error::ProofError;
use crate::hash::Hash;
use crate::key::is_name;

/// Most extension lines.
const MAX_EXTENSIONS: usize = 16;

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of.
    pub origin: String,
    /// Records in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Further lines.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text of a note, whose signatures are still to be verified.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let text = text.strip_suffix('\n').ok_or(ProofError::Checkpoint("its text does not end with a line feed"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|l| is_origin(l)).ok_or(ProofError::Checkpoint("it names no log"))?;
        let size = lines.next().and_then(number).ok_or(ProofError::Checkpoint("its size is no number"))?;
        let root = lines.next().and_then(Hash::from_base64).ok_or(ProofError::Checkpoint("its root is no hash"))?;
        let extensions: Vec<String> = lines.take(MAX_EXTENSIONS + 1).map(str::to_owned).collect();
        if extensions.len() > MAX_EXTENSIONS || extensions.iter().any(String::is_empty) {
            return Err(ProofError::Checkpoint("its further lines are empty or too many"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64());
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The extension line that begins with `word` and a space, without them.
    #[must_use]
    pub fn extension(&self, word: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// When it was signed, in milliseconds since 1970-01-01T00:00:00Z, as whoever signed it says.
    #[must_use]
    pub fn time(&self) -> Option<u64> {
        self.extension("time").and_then(number)
    }
}

/// A log may be named by anything that may name its key, so that they can be one.
fn is_origin(line: &str) -> bool {
    is_name(line)
}

/// A decimal number without leading zeroes.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.text(), EXAMPLE);
        let theirs = tlog_tiles::Checkpoint::from_bytes(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((theirs.size(), theirs.hash().0), (checkpoint.size, checkpoint.root.0));
        let more = Checkpoint::parse(&format!("{EXAMPLE}time 12\nx\n")).unwrap();
        assert_eq!((more.time(), more.extension("x"), more.extensions.len()), (Some(12), None, 2));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for bad in [
            String::new(),
            EXAMPLE.trim_end().to_owned(),
            format!("{EXAMPLE}\n"),
            format!("\n{EXAMPLE}"),
            EXAMPLE.replace("20852163", "020852163"),
            EXAMPLE.replace("20852163", "+20852163"),
            EXAMPLE.replace("20852163", "99999999999999999999"),
            EXAMPLE.replace("20852163", ""),
            EXAMPLE.replace("CsUY", "CsU"),
            EXAMPLE.replace("example.com", "example com"),
            format!("{EXAMPLE}{}", "x\n".repeat(17)),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
        }
    }
}
