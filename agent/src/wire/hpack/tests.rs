#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const LISTED: &[&str] = &[
    ":authority",
    ":method",
    ":path",
    ":scheme",
    ":status",
    "cache-control",
    "content-encoding",
    "custom-key",
    "date",
    "location",
    "set-cookie",
    "password",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The fields of a block, `?` for those unseen.
fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Issue> {
    let mut said = Vec::new();
    decoder.decode(block, &mut |field| {
        said.push(match field {
            Field::Known { name, value } => format!("{name}: {value}"),
            Field::Unseen => "?".to_owned(),
        });
    })?;
    Ok(said)
}

#[track_caller]
fn check(decoder: &mut Decoder, block: &str, expected: &[&str], size: usize) {
    assert_eq!(fields(decoder, &bytes(block)).unwrap(), expected);
    assert_eq!(decoder.table.size(), size);
}

const FIRST: &[&str] = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND: &[&str] = &[FIRST[0], FIRST[1], FIRST[2], FIRST[3], "cache-control: no-cache"];
const THIRD: &[&str] = &[":method: GET", ":scheme: https", ":path: /index.html", FIRST[3], "custom-key: custom-value"];

/// RFC 7541, C.2.
#[test]
fn the_rfcs_single_fields() {
    let new = || Decoder::new(LISTED);
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut new(), custom, &["custom-key: custom-header"], 55);
    check(&mut new(), "040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0);
    check(&mut new(), "1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0);
    check(&mut new(), "82", &[":method: GET"], 0);
}

/// RFC 7541, C.3 and C.4.
#[test]
fn the_rfcs_requests() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for [first, second, third] in [plain, huffman] {
        let mut decoder = Decoder::new(LISTED);
        check(&mut decoder, first, FIRST, 57);
        check(&mut decoder, second, SECOND, 110);
        check(&mut decoder, third, THIRD, 164);
    }
}

/// RFC 7541, C.5 and C.6: a table of 256 bytes, so that entries are evicted.
#[test]
fn the_rfcs_responses() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e
         1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d
         4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572
         7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
         97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf
         cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let (private, location) = ("cache-control: private", "location: https://www.example.com");
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    for [first, second, third] in [plain, huffman] {
        let mut decoder = Decoder::new(LISTED);
        decoder.table.resize(256);
        check(&mut decoder, first, &[":status: 302", private, date, location], 222);
        check(&mut decoder, second, &[":status: 307", private, date, location], 222);
        check(
            &mut decoder,
            third,
            &[
                ":status: 200",
                private,
                "date: Mon, 21 Oct 2013 20:13:22 GMT",
                location,
                "content-encoding: gzip",
                "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ],
            215,
        );
    }
}

#[test]
fn what_was_said_before_is_unseen() {
    let mut decoder = Decoder::midway(LISTED);
    // An indexed field, a literal with an indexed name, an entry of the latter.
    check(&mut decoder, "be", &["?"], 0);
    check(&mut decoder, "7e03 666f 6f", &["?"], 35);
    // The new entry is the newest, its name still unknown; behind it is what was there before.
    check(&mut decoder, "be bf", &["?", "?"], 35);
    check(&mut decoder, "400a 6375 7374 6f6d 2d6b 6579 0162", &["custom-key: b"], 35 + 43);
    check(&mut decoder, "bf c0 ff ff 7f be", &["?", "?", "?", "custom-key: b"], 78);
    // Emptied and given its size back, the table is known: there is nothing behind it.
    check(&mut decoder, "20 3f e1 1f", &[], 0);
    assert_eq!(fields(&mut decoder, &bytes("be")), Err(Issue::HpackMalformed));
}

#[test]
fn what_is_malformed_is_said_and_the_table_is_unseen_from_there() {
    for block in ["80", "be", "40", "4003 61", "41 8c f1", "ff ff ff ff ff ff ff", "00 81 00 00", "3f"] {
        let mut decoder = Decoder::new(LISTED);
        assert_eq!(fields(&mut decoder, &bytes(block)), Err(Issue::HpackMalformed), "{block}");
        check(&mut decoder, "be", &["?"], 0);
    }
}

#[test]
fn what_is_not_listed_is_not_held() {
    let mut decoder = Decoder::new(&["custom-key"]);
    let secret = "authorization: 'Basic Y2FuYXJ5'";
    let block = [&bytes("400d")[..], b"authorizatioo", b"\x05Y2Fu!", &[0x57, 4], b"cana"].concat();
    assert_eq!(fields(&mut decoder, &block).unwrap(), Vec::<String>::new(), "{secret}");
    let held = format!("{:?}", decoder.table);
    assert!(!held.contains("Y2Fu") && !held.contains("cana"), "{held}");
    assert_eq!(decoder.table.size(), (13 + 5 + 32) + (13 + 4 + 32));
}

/// An encoder that makes each choice that the RFC leaves open by a number.
struct Encoder {
    entries: VecDeque<(String, String)>,
    limit: usize,
}

#[derive(Clone, Debug)]
enum Say {
    /// Name, value, and how to say it.
    Field(u8, u8, u8),
    Resize(u16),
}

const NAMES: [&str; 5] = [":path", "custom-key", "authorization", "x-other", ":status"];

impl Encoder {
    fn field(&mut self, name: &str, value: &str, how: u8, block: &mut Vec<u8>) {
        let found = self.entries.iter().position(|(n, v)| n == name && v == value);
        if let Some(at) = found.filter(|_| how & 1 == 0) {
            return integer(0x80, 7, 62 + at, block);
        }
        let keeps = how & 2 == 0;
        let (pattern, prefix) = if keeps { (0x40, 6) } else { (0x10, 4) };
        let named = self.entries.iter().position(|(n, _)| n == name).map(|at| 62 + at);
        match named.filter(|_| how & 4 == 0) {
            Some(index) => integer(pattern, prefix, index, block),
            None => {
                integer(pattern, prefix, 0, block);
                string(name, how & 8 == 0, block);
            }
        }
        string(value, how & 16 == 0, block);
        if keeps {
            self.entries.push_front((name.to_owned(), value.to_owned()));
            self.evict();
        }
    }

    fn evict(&mut self) {
        let size = |entries: &VecDeque<(String, String)>| -> usize {
            entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while size(&self.entries) > self.limit {
            self.entries.pop_back();
        }
    }

    /// The block, and the listed fields in it.
    fn block(&mut self, says: &[Say]) -> (Vec<u8>, Vec<String>) {
        let (mut block, mut listed) = (Vec::new(), Vec::new());
        for say in says {
            match *say {
                Say::Resize(bytes) => {
                    integer(0x20, 5, usize::from(bytes), &mut block);
                    self.limit = usize::from(bytes);
                    self.evict();
                }
                Say::Field(name, value, how) => {
                    let name = NAMES[usize::from(name) % NAMES.len()];
                    let value = "v".repeat(usize::from(value % 90)) + &value.to_string();
                    self.field(name, &value, how, &mut block);
                    if LISTED.contains(&name) {
                        listed.push(format!("{name}: {value}"));
                    }
                }
            }
        }
        (block, listed)
    }
}

fn integer(pattern: u8, prefix: u32, value: usize, block: &mut Vec<u8>) {
    let full = (1 << prefix) - 1;
    if value < full {
        return block.push(pattern | value as u8);
    }
    block.push(pattern | full as u8);
    let mut rest = value - full;
    while rest >= 128 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn string(text: &str, plain: bool, block: &mut Vec<u8>) {
    if plain {
        integer(0, 7, text.len(), block);
        return block.extend(text.bytes());
    }
    let coded = huffman::tests::encode(text.as_bytes());
    integer(0x80, 7, coded.len(), block);
    block.extend(coded);
}

fn says() -> impl Strategy<Value = Vec<Vec<Say>>> {
    let say = prop_oneof![
        9 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(name, value, how)| Say::Field(name, value % 12, how)),
        1 => prop::sample::select(vec![0, 60, 256, 4096, 9000]).prop_map(Say::Resize),
    ];
    prop::collection::vec(prop::collection::vec(say, 0..12), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_encoded_is_decoded(blocks in says()) {
        let mut encoder = Encoder { entries: VecDeque::new(), limit: 4096 };
        let mut decoder = Decoder::new(LISTED);
        for says in &blocks {
            let (block, listed) = encoder.block(says);
            prop_assert_eq!(fields(&mut decoder, &block).unwrap(), listed);
        }
    }

    /// Joined before any block: every field that is known is right, in its place, and the unseen ones are the others.
    #[test]
    fn joined_anywhere_nothing_known_is_wrong(blocks in says(), from in 0usize..12) {
        let mut encoder = Encoder { entries: VecDeque::new(), limit: 4096 };
        let mut decoder = Decoder::midway(LISTED);
        for (nth, says) in blocks.iter().enumerate() {
            let (block, listed) = encoder.block(says);
            if nth < from {
                continue;
            }
            let said = fields(&mut decoder, &block).unwrap();
            let unseen = said.iter().filter(|field| *field == "?").count();
            let mut truth = listed.iter();
            for field in said.iter().filter(|field| *field != "?") {
                prop_assert!(truth.any(|listed| listed == field), "{} is not in {:?}", field, listed);
            }
            prop_assert!(said.len() >= listed.len(), "each listed field is said or unseen");
            prop_assert!(said.len() - unseen <= listed.len());
        }
    }

    #[test]
    fn no_bytes_break_it(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..12), midway in any::<bool>()) {
        let mut decoder = if midway { Decoder::midway(LISTED) } else { Decoder::new(LISTED) };
        for block in &blocks {
            let _ = fields(&mut decoder, block);
            prop_assert!(decoder.table.size() <= 64 * 1024);
        }
    }
}
