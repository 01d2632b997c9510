//! `kmss file`: sealing and opening files of any length.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::envelope::file::{Chunks, FileAlgorithm, FileHeader, KEY, Layout, ReadHeader};
use libkmss::error::ErrorKind;
use libkmss::key::{KeyClass, Object};
use libkmss::mechanism::{EncryptionContext, Native, NativeAlgorithm};
use libkmss::os::effective_ids;
use libkmss::secret::Secret;
use remote::client::ClientError;
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::{ChunkAlgorithm, FileCommand, FileOpenArgs, FileSealArgs};
use crate::context::Context;
use crate::objects::Objects;
use crate::output::{self, Failure};

/// Chunks that each thread works on before they are written.
const EACH: usize = 16;

/// Runs `kmss file`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: FileCommand) -> Result<(), Failure> {
    match command {
        FileCommand::Seal(args) => seal(context, &args),
        FileCommand::Open(args) => open(context, &args),
    }
}

fn seal(context: &Context, args: &FileSealArgs) -> Result<(), Failure> {
    let said = EncryptionContext::new(args.context.context.clone())?;
    let mut source = source(&args.file)?;
    let length = fs::metadata(&args.file).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    let objects = context.objects(&args.token)?;
    let keys = args.keys.iter().map(|name| recipient(&*objects, name)).collect::<Result<Vec<_>, _>>()?;
    let (first, others) = keys.split_first().ok_or("say for which key (--key)")?;
    let native = |algorithm| Native { algorithm, context: said.clone() };
    let made = objects.data_key(&first.0, native(first.1), KEY, true)?;
    let plaintext = made.plaintext.ok_or("the data key was not given out")?;
    let mut wrapped = vec![made.ciphertext];
    for (key, algorithm) in others {
        wrapped.push(objects.encrypt_message(key, native(*algorithm), &plaintext)?);
    }
    objects.close()?;
    let algorithm = match args.algorithm {
        ChunkAlgorithm::Aes256Gcm => FileAlgorithm::Aes256Gcm,
        ChunkAlgorithm::ChaCha20Poly1305 => FileAlgorithm::ChaCha20Poly1305,
    };
    let random = libkmss::kms::software()?;
    let header = FileHeader::new(algorithm, FileHeader::USUAL, wrapped, random.entropy())?;
    let (bytes, chunks) = header.seal(&Secret::copy_of(&plaintext))?;
    let mut target = Target::new(&args.out, false)?;
    target.write(&bytes)?;
    let bar = progress(length, context);
    // One byte more than a chunk tells whether it is the last.
    let mut ahead = fill(&mut source, chunks.size())?;
    let (mut number, mut ended) = (0, false);
    while !ended {
        let mut batch = Vec::new();
        while batch.len() < EACH * threads(args.threads) && !ended {
            let next = if ahead.len() == chunks.size() { fill(&mut source, chunks.size())? } else { Vec::new() };
            ended = next.is_empty();
            batch.push((number, ended, std::mem::replace(&mut ahead, next)));
            number += 1;
        }
        worked(&mut batch, threads(args.threads), |(number, last, data)| Ok(chunks.seal(*number, *last, data)?))?;
        for (_, _, data) in &batch {
            target.write(data)?;
            bar.inc(data.len() as u64);
        }
    }
    bar.finish_and_clear();
    target.done()
}

fn open(context: &Context, args: &FileOpenArgs) -> Result<(), Failure> {
    let said = EncryptionContext::new(args.context.context.clone())?;
    let length = fs::metadata(&args.file).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    let objects = context.objects(&args.token)?;
    let mut source = source(&args.file)?;
    let header = FileHeader::read(&mut source)?;
    let chunks = opened(&*objects, &header, &said)?;
    objects.close()?;
    let bar = progress(length, context);
    let threads = threads(args.threads);
    match (length, args.range, args.resume) {
        (Some(length), range, resume) => {
            let layout = header.layout(length)?;
            let file = File::open(&args.file).map_err(|e| format!("cannot read `{}`: {e}", args.file.display()))?;
            let sealed = Sealed { file, layout, chunks, threads };
            sealed.write_to(&args.out, range, resume, &bar)?;
        }
        (None, Some(_), _) | (None, _, true) => return Err("a range, or --resume, wants a file".into()),
        (None, None, false) => stream(&mut source, &chunks, &args.out, &bar)?,
    }
    bar.finish_and_clear();
    Ok(())
}

/// A key that opens a file, and how the file's key is encrypted under it.
fn recipient(objects: &dyn Objects, name: &str) -> Result<(Arc<Object>, NativeAlgorithm), Failure> {
    let missing = || format!("there is no secret key `{name}`; `kmss key list` shows what there is");
    let key = objects.key(name, KeyClass::Secret)?.ok_or_else(missing)?;
    let usual = key.key().and_then(|key| NativeAlgorithm::usual(key.key_type));
    let unfit = || format!("`{name}` is no key that files are sealed under: AES (256 bits), SM4 and ChaCha20 keys are");
    Ok((key, usual.ok_or_else(unfit)?))
}

/// What opens the chunks: the file's key, by the first recipient whose key is ours.
fn opened(objects: &dyn Objects, header: &ReadHeader, said: &EncryptionContext) -> Result<Chunks, Failure> {
    let mut refusal: Failure = "none of the keys that open this file is in the token".into();
    for recipient in header.header.recipients() {
        match objects.decrypt_message(recipient, said.clone()) {
            Ok(key) => match header.open(&Secret::copy_of(&key)) {
                Ok(chunks) => return Ok(chunks),
                // Another recipient's key may be the one: whoever made the file chose what stands here.
                Err(error) => refusal = error.into(),
            },
            Err(error) => {
                let here = error.downcast_ref::<libkmss::error::Error>().map(libkmss::error::Error::kind);
                let there = error.downcast_ref::<ClientError>().map(ClientError::kind);
                if here.or(there) != Some(ErrorKind::NotFound) {
                    refusal = error;
                }
            }
        }
    }
    Err(refusal)
}

/// A sealed file that lies somewhere, so that any part of it can be read.
struct Sealed {
    file: File,
    layout: Layout,
    chunks: Chunks,
    threads: usize,
}

impl Sealed {
    fn write_to(
        mut self,
        out: &Path,
        range: Option<(u64, u64)>,
        resume: bool,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let layout = self.layout;
        // The last chunk says that nothing was cut off.
        let last = layout.chunks() - 1;
        if range.is_some() || resume {
            self.read(last)?;
        }
        let (from, to) = range.unwrap_or((0, layout.plaintext()));
        if range.is_some() && to > layout.plaintext() {
            return Err(format!("the file has {} bytes only", layout.plaintext()).into());
        }
        let mut target = Target::new(out, resume)?;
        let size = self.chunks.size() as u64;
        let (mut number, end) = (layout.chunk_of(from), layout.chunk_of(to.saturating_sub(1)));
        while number <= end {
            let count = (end - number + 1).min((EACH * self.threads) as u64);
            let mut batch = Vec::new();
            for number in number..number + count {
                batch.push((number, layout.is_last(number), self.sealed(number)?));
            }
            let chunks = &self.chunks;
            let worked =
                worked(&mut batch, self.threads, |(number, last, data)| Ok(chunks.open(*number, *last, data)?));
            if let Err(error) = worked {
                target.abandon();
                return Err(error);
            }
            for (number, _, data) in &mut batch {
                let start = *number * size;
                let first = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX).min(data.len());
                let behind = usize::try_from(to.saturating_sub(start)).unwrap_or(usize::MAX).min(data.len());
                target.write(data.get(first..behind).unwrap_or_default())?;
                bar.inc(data.len() as u64);
                data.zeroize();
            }
            number += count;
        }
        target.done()
    }

    fn sealed(&mut self, number: u64) -> Result<Vec<u8>, Failure> {
        self.file.seek(SeekFrom::Start(self.layout.position(number)))?;
        let len = usize::try_from(self.layout.sealed_len(number)).map_err(|_| "the file is too long")?;
        let mut data = vec![0; len];
        self.file.read_exact(&mut data).map_err(|e| format!("the sealed file cannot be read: {e}"))?;
        Ok(data)
    }

    fn read(&mut self, number: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut data = Zeroizing::new(self.sealed(number)?);
        self.chunks.open(number, self.layout.is_last(number), &mut data)?;
        Ok(data)
    }
}

/// Opens what comes in, whose length nobody knows. What is written is right; whether all of it came is known at the end.
fn stream(source: &mut dyn Read, chunks: &Chunks, out: &Path, bar: &ProgressBar) -> Result<(), Failure> {
    let mut target = Target::new(out, false)?;
    let whole = chunks.size() + libkmss::envelope::file::TAG;
    let mut ahead = fill(source, whole)?;
    for number in 0.. {
        let next = if ahead.len() == whole { fill(source, whole)? } else { Vec::new() };
        let last = next.is_empty();
        if let Err(error) = chunks.open(number, last, &mut ahead) {
            target.abandon();
            return Err(error.into());
        }
        target.write(&ahead)?;
        bar.inc(ahead.len() as u64);
        ahead.zeroize();
        ahead = next;
        if last {
            break;
        }
    }
    target.done()
}

/// Lets `threads` threads work on the chunks of a batch.
fn worked<F>(batch: &mut [(u64, bool, Vec<u8>)], threads: usize, work: F) -> Result<(), Failure>
where
    F: Fn(&mut (u64, bool, Vec<u8>)) -> Result<(), Failure> + Sync,
{
    let part = batch.len().div_ceil(threads).max(1);
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> =
            batch.chunks_mut(part).map(|part| scope.spawn(move || part.iter_mut().try_for_each(work))).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread ended in the middle")?)
    })
}

fn threads(asked: Option<std::num::NonZeroUsize>) -> usize {
    asked.or_else(|| thread::available_parallelism().ok()).map_or(1, std::num::NonZeroUsize::get).min(64)
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn source(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if is_standard(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
    Ok(Box::new(file))
}

/// As many bytes as there are, at most `most`.
fn fill(source: &mut dyn Read, most: usize) -> Result<Vec<u8>, Failure> {
    let mut data = vec![0; most];
    let mut filled = 0;
    while let Some(room) = data.get_mut(filled..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(format!("cannot read what comes in: {e}").into()),
        }
    }
    data.truncate(filled);
    Ok(data)
}

/// Shows how far it is, to people alone.
fn progress(length: Option<u64>, context: &Context) -> ProgressBar {
    let bar = match length {
        _ if context.global.json => ProgressBar::hidden(),
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    let template = "{bytes}/{total_bytes} {bar:40} {bytes_per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Where it is written: a file gets its name when all of it is there.
enum Target {
    Standard(BufWriter<io::StdoutLock<'static>>),
    File(Part),
}

/// The beginning of a file to be.
struct Part {
    to: PathBuf,
    path: PathBuf,
    file: File,
    /// Bytes that are there and right.
    right: u64,
    /// Bytes of an earlier run, from the beginning: each is compared before it is taken for right.
    earlier: u64,
}

impl Target {
    fn new(out: &Path, resume: bool) -> Result<Self, Failure> {
        match (is_standard(out), resume) {
            (true, true) => Err("--resume wants a file to go on with".into()),
            (true, false) => Ok(Self::Standard(BufWriter::new(io::stdout().lock()))),
            (false, _) => Part::new(out, resume).map(Self::File),
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Standard(writer) => writer.write_all(data),
            Self::File(part) => part.write(data),
        };
        written.map_err(unwritten)
    }

    /// Forgets what was written: something was wrong with it.
    fn abandon(self) {
        if let Self::File(part) = self {
            let _ = fs::remove_file(&part.path);
        }
    }

    fn done(self) -> Result<(), Failure> {
        match self {
            Self::Standard(mut writer) => writer.flush().map_err(unwritten),
            Self::File(part) => part.done(),
        }
    }
}

fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => output::Unread.into(),
        _ => format!("cannot write what comes of it: {error}").into(),
    }
}

impl Part {
    fn new(out: &Path, resume: bool) -> Result<Self, Failure> {
        let mut name = out.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let unwritable = |e: io::Error| format!("cannot write `{}`: {e}", path.display());
        let mut options = OpenOptions::new();
        // Nobody else's file, and nothing that a link leads to: what is written is secret.
        options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        if resume {
            match options.open(&path) {
                Ok(file) => return Self::resumed(out, path, file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(unwritable(e).into()),
            }
        } else if let Err(e) = fs::remove_file(&path)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(unwritable(e).into());
        }
        let file = options.create_new(true).open(&path).map_err(unwritable)?;
        Ok(Self { to: out.to_owned(), path, file, right: 0, earlier: 0 })
    }

    /// Goes on with what an earlier run left.
    fn resumed(out: &Path, path: PathBuf, file: File) -> Result<Self, Failure> {
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != effective_ids().0 || found.mode() & 0o077 != 0 {
            let why = "is not a file that an earlier run of yours has left: remove it, or leave --resume away";
            return Err(format!("`{}` {why}", path.display()).into());
        }
        Ok(Self { to: out.to_owned(), path, file, right: 0, earlier: found.len() })
    }

    /// Writes what comes next, or finds it there. What is there and differs goes, with everything behind it.
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let held = usize::try_from(self.earlier - self.right).unwrap_or(usize::MAX).min(data.len());
        let (there, mut rest) = data.split_at(held);
        let mut found = Zeroizing::new(vec![0; held]);
        self.file.read_exact(&mut found)?;
        if found.as_slice() != there {
            self.file.set_len(self.right)?;
            self.file.seek(SeekFrom::Start(self.right))?;
            self.earlier = self.right;
            rest = data;
        }
        self.file.write_all(rest)?;
        self.right += data.len() as u64;
        self.earlier = self.earlier.max(self.right);
        Ok(())
    }

    fn done(self) -> Result<(), Failure> {
        self.file.set_len(self.right)?;
        self.file.sync_all()?;
        fs::rename(&self.path, &self.to).map_err(|e| format!("cannot write `{}`: {e}", self.to.display()).into())
    }
}
