//! The encodings of the crate `encoding_rs`, for files that are appended to.
//!
//! What always holds: an encoding is offered only where `encoding_rs` gives each text back as it
//! was; those that it only reads (UTF-16 is in `coheap_append`), or takes for others (Latin-1, ASCII),
//! are not taken from it.

use std::sync::Arc;

use coheap_append::{Charset, Charsets, Found};
use encoding_rs::{EncoderResult, Encoding};

/// The encodings that this crate knows.
#[derive(Debug)]
pub(crate) struct Known;

impl Charsets for Known {
    fn find(&self, name: &str) -> Option<Found> {
        if let Some(found) = Found::built_in(name) {
            return Some(found);
        }
        // Python writes some of the names with other signs.
        let label = name.to_ascii_lowercase().replace('_', "-");
        let encoding = [name, &label, &label.replace("iso8859", "iso-8859")]
            .into_iter()
            .find_map(|label| Encoding::for_label_no_replacement(label.as_bytes()))?;
        let is_exact = encoding.output_encoding() == encoding
            && encoding != encoding_rs::ISO_2022_JP
            && encoding != encoding_rs::X_USER_DEFINED;
        let name = encoding.name().to_ascii_lowercase();
        is_exact.then(|| Found::Other(Arc::new(Legacy { name, encoding })))
    }
}

/// An encoding of `encoding_rs`.
#[derive(Debug)]
struct Legacy {
    name: String,
    encoding: &'static Encoding,
}

impl Charset for Legacy {
    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize> {
        let mut encoder = self.encoding.new_encoder();
        let mut rest = text;
        loop {
            let most = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
            bytes.reserve(most.unwrap_or(rest.len() * 4));
            let (result, read) =
                encoder.encode_from_utf8_to_vec_without_replacement(rest, bytes, true);
            match result {
                EncoderResult::InputEmpty => return Ok(()),
                EncoderResult::OutputFull => rest = &rest[read..],
                EncoderResult::Unmappable(character) => {
                    let read = text.len() - rest.len() + read - character.len_utf8();
                    return Err(text[..read].chars().count());
                }
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        let text = self.encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
        Some(text.into_owned())
    }
}
