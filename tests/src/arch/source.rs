//! Sources as the checks see them: modules, the paths they name and the words they use, each with its line.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path such as `crate::store::Store` and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The segments as written, `use` groups already multiplied out.
    pub segments: Vec<String>,
    /// Line, counted from 1.
    pub line: usize,
}

/// One file outside `#[cfg(test)]`.
#[derive(Debug, Clone)]
pub struct Module {
    /// From the workspace's root: `libkmss/src/store/mod.rs`.
    pub file: String,
    /// `["store", "sqlite"]`; empty for the crate's root.
    pub path: Vec<String>,
    /// Every path of two segments and more, and every single-segment `use`.
    pub paths: Vec<Named>,
    /// Every identifier and keyword outside comments and strings.
    pub words: Vec<(String, usize)>,
    /// Names that `pub use` gives this module, and the path each stands for.
    pub reexports: Vec<(String, Vec<String>)>,
}

/// The sources of one crate.
#[derive(Debug, Clone)]
pub struct CrateSource {
    /// The folder's name: `libkmss`.
    pub name: String,
    /// Files, test-only ones left out.
    pub modules: Vec<Module>,
}

/// A source file that could not be read.
#[derive(Debug)]
pub struct SourceError {
    file: PathBuf,
    reason: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for SourceError {}

impl CrateSource {
    /// Reads all `.rs` files below `<root>/<member>/src`.
    ///
    /// # Errors
    /// Names the file that cannot be read or is not Rust.
    pub fn read(root: &Path, member: &str) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        collect(&root.join(member).join("src"), &mut files)?;
        files.sort();
        let texts = files
            .into_iter()
            .map(|file| {
                let relative = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
                read_text(&file).map(|text| (relative, text))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::parse(member, texts.iter().map(|(file, text)| (file.as_str(), text.as_str())))
    }

    /// Parses `(file, text)` pairs, where a file is named `<crate>/src/….rs`.
    ///
    /// # Errors
    /// Names the file that is not Rust.
    pub fn parse<'a>(name: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SourceError> {
        let mut modules = Vec::new();
        let mut test_only = Vec::new();
        for (file, text) in files {
            let mut module = Module {
                file: file.to_owned(),
                path: module_path(name, file),
                paths: Vec::new(),
                words: Vec::new(),
                reexports: Vec::new(),
            };
            let broken = |reason: String| SourceError { file: file.into(), reason };
            let tokens = TokenStream::from_str(text).map_err(|e| broken(e.to_string()))?;
            let mut reader = Reader { module: &mut module, test_modules: Vec::new(), whole_file_is_test: false };
            reader.read(tokens);
            let (test_modules, whole) = (reader.test_modules, reader.whole_file_is_test);
            if whole {
                test_only.push(module.path.clone());
            }
            test_only.extend(test_modules.into_iter().map(|child| {
                let mut path = module.path.clone();
                path.push(child);
                path
            }));
            modules.push(module);
        }
        modules.retain(|m| !test_only.iter().any(|test| m.path.starts_with(test)));
        Ok(Self { name: name.to_owned(), modules })
    }
}

/// `libkmss/src/store/mod.rs` → `["store"]`.
fn module_path(name: &str, file: &str) -> Vec<String> {
    let inside = file.strip_prefix(&format!("{name}/src/")).unwrap_or(file);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut path: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    path
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let failed = |e: std::io::Error| SourceError { file: folder.into(), reason: e.to_string() };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// A file's text.
///
/// # Errors
/// Names the file.
pub fn read_text(file: &Path) -> Result<String, SourceError> {
    fs::read_to_string(file).map_err(|e| SourceError { file: file.into(), reason: e.to_string() })
}

/// Keywords that begin an item whose end is a semicolon or braces.
const ITEMS: &[&str] = &["fn", "impl", "struct", "enum", "trait", "type", "const", "static", "use", "macro_rules"];

/// Walks token trees, leaving out what `#[cfg(test)]` stands before.
struct Reader<'m> {
    module: &'m mut Module,
    test_modules: Vec<String>,
    whole_file_is_test: bool,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            match tree {
                TokenTree::Punct(p) if p.as_char() == '#' => {
                    let inner = matches!(trees.get(at + 1), Some(TokenTree::Punct(bang)) if bang.as_char() == '!');
                    let attribute = at + 1 + usize::from(inner);
                    if is_cfg_test(trees.get(attribute)) {
                        if inner {
                            self.whole_file_is_test = true;
                        }
                        at = self.skip_item(&trees, attribute + 1);
                        continue;
                    }
                }
                TokenTree::Ident(word) if word == "use" && !is_receiver(&trees, at) => {
                    if let Some(end) = self.read_use(&trees, at) {
                        at = end;
                        continue;
                    }
                }
                TokenTree::Ident(_) => {
                    at = self.read_path(&trees, at);
                    continue;
                }
                TokenTree::Group(group) => self.read(group.stream()),
                _ => {}
            }
            at += 1;
        }
    }

    /// Skips to behind the item that starts at `at`: its `;` or its braces. Notes `mod tests;`.
    fn skip_item(&mut self, trees: &[TokenTree], mut at: usize) -> usize {
        let mut is_item = false;
        while let Some(tree) = trees.get(at) {
            match tree {
                TokenTree::Ident(word) if word == "mod" => {
                    is_item = true;
                    if let Some(TokenTree::Ident(name)) = trees.get(at + 1) {
                        self.test_modules.push(name.to_string());
                    }
                }
                TokenTree::Ident(word) if ITEMS.iter().any(|item| word == item) => is_item = true,
                TokenTree::Punct(p) if p.as_char() == ';' => return at + 1,
                // A field or a variant ends with a comma; in an item it only separates generics.
                TokenTree::Punct(p) if p.as_char() == ',' && !is_item => return at + 1,
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return at + 1,
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// Reads `use …;` at `at`; `None` where it is the `use<'a>` of a bound.
    fn read_use(&mut self, trees: &[TokenTree], at: usize) -> Option<usize> {
        let length = trees.get(at..)?.iter().position(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ';'))?;
        let statement = trees.get(at + 1..at + length)?;
        let tree: syn::UseTree = syn::parse2(statement.iter().cloned().skip_while(is_colon).collect()).ok()?;
        let line = trees.get(at)?.span().start().line;
        let public = at
            .checked_sub(1)
            .and_then(|before| trees.get(before))
            .is_some_and(|t| matches!(t, TokenTree::Ident(w) if w == "pub") || matches!(t, TokenTree::Group(_)));
        let mut flat = Vec::new();
        flatten(&tree, &mut Vec::new(), &mut flat);
        for (segments, name) in flat {
            for segment in &segments {
                self.module.words.push((segment.clone(), line));
            }
            if public {
                self.module.reexports.push((name, segments.clone()));
            }
            self.module.paths.push(Named { segments, line });
        }
        Some(at + length + 1)
    }

    /// Reads an identifier and the `::segment`s behind it.
    fn read_path(&mut self, trees: &[TokenTree], start: usize) -> usize {
        let mut segments = Vec::new();
        let mut line = 0;
        let mut at = start;
        while let Some(TokenTree::Ident(word)) = trees.get(at) {
            if segments.is_empty() {
                line = word.span().start().line;
            }
            self.module.words.push((word.to_string(), word.span().start().line));
            segments.push(word.to_string());
            at += 1;
            let joined = trees.get(at).is_some_and(is_colon) && trees.get(at + 1).is_some_and(is_colon);
            if !joined || !matches!(trees.get(at + 2), Some(TokenTree::Ident(_))) {
                break;
            }
            at += 2;
        }
        if segments.len() > 1 {
            self.module.paths.push(Named { segments, line });
        }
        at
    }
}

fn is_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(p) if p.as_char() == ':')
}

/// True where the word at `at` follows a `.`, as in a raw identifier used as a method.
fn is_receiver(trees: &[TokenTree], at: usize) -> bool {
    at > 0 && matches!(trees.get(at - 1), Some(TokenTree::Punct(p)) if p.as_char() == '.')
}

/// `[cfg(test)]`, also `[cfg(all(test, …))]`.
fn is_cfg_test(tree: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = tree else { return false };
    let text: String = group.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, out: &mut Vec<(Vec<String>, String)>) {
    let with = |prefix: &[String], last: String| [prefix, &[last]].concat();
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, out);
            prefix.pop();
        }
        syn::UseTree::Name(name) if name.ident == "self" => {
            out.push((prefix.clone(), prefix.last().cloned().unwrap_or_default()));
        }
        syn::UseTree::Name(name) => out.push((with(prefix, name.ident.to_string()), name.ident.to_string())),
        syn::UseTree::Rename(rename) if rename.ident == "self" => out.push((prefix.clone(), rename.rename.to_string())),
        syn::UseTree::Rename(rename) => out.push((with(prefix, rename.ident.to_string()), rename.rename.to_string())),
        syn::UseTree::Glob(_) => out.push((prefix.clone(), "*".to_owned())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| flatten(item, prefix, out)),
    }
}
