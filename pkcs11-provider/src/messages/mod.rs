//! Message-based operations (PKCS#11 3.2, 5.9, 5.11, 5.14 and 5.16): what is done in a process of messages.

mod aead;
mod mac;
