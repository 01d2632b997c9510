//! The attribute `#[kmss_policy::policy]`: what turns a function into the three exports of a guest. It depends on
//! nothing, so that a guest builds wherever a compiler is.

use proc_macro::{TokenStream, TokenTree};

/// Exports the function below it as the policy of this module. The function takes a `kmss_policy::Request` and returns a
/// `kmss_policy::Decision`. A module has one policy. In builds for the machine itself (`cargo test`) nothing is exported.
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return complaint("`#[policy]` takes no arguments", item);
    }
    let Some(name) = function_name(item.clone()) else {
        return complaint("`#[policy]` stands before a function: `fn decide(request: Request) -> Decision`", item);
    };
    let exports = format!(
        "#[cfg(target_arch = \"wasm32\")]
        #[allow(unsafe_code, reason = \"exported names are a promise that only the module's author can make\")]
        const _: () = {{
            #[unsafe(no_mangle)]
            extern \"C\" fn kmss_abi() -> i32 {{ ::kmss_policy::guest::ABI }}
            #[unsafe(no_mangle)]
            extern \"C\" fn kmss_buf() -> i32 {{ ::kmss_policy::guest::buffer() }}
            #[unsafe(no_mangle)]
            extern \"C\" fn kmss_decide(length: i32) -> i64 {{ ::kmss_policy::guest::decide(length, {name}) }}
        }};
        #[cfg(not(target_arch = \"wasm32\"))]
        const _: fn(::kmss_policy::Request<'_>) -> ::kmss_policy::Decision = {name};"
    );
    let exports: TokenStream = exports.parse().unwrap_or_default();
    item.into_iter().chain(exports).collect()
}

/// The word after the first `fn` outside of all brackets.
fn function_name(item: TokenStream) -> Option<String> {
    let mut tokens = item.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next() {
        Some(TokenTree::Ident(name)) => Some(name.to_string()),
        _ => None,
    }
}

fn complaint(text: &str, item: TokenStream) -> TokenStream {
    let error: TokenStream = format!("::core::compile_error!({text:?});").parse().unwrap_or_default();
    error.into_iter().chain(item).collect()
}
