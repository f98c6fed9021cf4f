#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

/// The body in which the front end of ComfyUI hands a job over, with a text that must stay in it.
const BODY: &str = r#"{"client_id": "c", "prompt": {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a SECRET garden", "clip": ["4", 1]}},
    "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "detail.safetensors", "model": ["4", 0]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "batch_size": 2}},
    "3": {"class_type": "KSampler", "inputs": {"model": ["10", 0], "sampler_name": "euler", "steps": 8}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "SECRET", "images": ["8", 0]}},
    "11": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
}, "extra_data": {"extra_pnginfo": {"workflow": {"nodes": ["SECRET"]}}}, "prompt_id": "given"}"#;

fn read(pieces: &[&[u8]]) -> (Graph, Option<String>, Vec<Issue>) {
    let (mut drawing, mut issues) = (Drawing::default(), Vec::new());
    pieces.iter().for_each(|piece| drawing.push(piece, &mut issues));
    let id = drawing.id().map(str::to_owned);
    (drawing.graph(), id, issues)
}

fn graph(body: &str) -> Graph {
    read(&[body.as_bytes()]).0
}

fn samples(classes: &[(&str, &str)]) -> String {
    let nodes = classes
        .iter()
        .enumerate()
        .map(|(id, (class, inputs))| format!(r#""{id}": {{"class_type": "{class}", "inputs": {{{inputs}}}}}"#));
    format!(r#"{{"prompt": {{{}}}}}"#, nodes.collect::<Vec<_>>().join(", "))
}

#[test]
fn what_is_kept() {
    let (graph, id, issues) = read(&[BODY.as_bytes()]);
    assert_eq!((id.as_deref(), issues), (Some("given"), vec![]));
    assert_eq!((graph.model.as_str(), graph.images), ("sd_xl.safetensors", Some(4)));
    assert_eq!(graph.workflow.len(), 12);
    assert_eq!(graph.nodes.len(), 7);
    assert_eq!(&*graph.nodes["3"].class, "KSampler");
    assert_eq!(graph.nodes["3"].sampler.as_deref(), Some("euler"));
    assert_eq!(graph.only_sampler().as_deref(), Some("euler"));
    assert!(!format!("{graph:?}").contains("SECRET"));
}

#[test]
fn cuts_change_nothing() {
    let whole = read(&[BODY.as_bytes()]);
    for at in 0..BODY.len() {
        let (one, other) = BODY.as_bytes().split_at(at);
        assert_eq!(read(&[one, other]), whole, "cut at {at}");
    }
}

#[test]
fn a_graph_that_was_not_read_to_its_end_has_no_workflow() {
    let end = BODY.find(r#", "extra_data""#).unwrap();
    for (at, whole) in [(BODY.len(), true), (end + 20, true), (end - 10, false), (200, false)] {
        let mut drawing = Drawing::default();
        drawing.push(&BODY.as_bytes()[..at], &mut Vec::new());
        drawing.elide();
        drawing.push(br#""1": {"class_type": "X", "inputs": {}}}}"#, &mut Vec::new());
        let graph = drawing.graph();
        assert_eq!(!graph.workflow.is_empty(), whole, "{at}");
        assert_eq!(graph.images.is_some(), whole, "{at}");
        assert_eq!(graph.model, "sd_xl.safetensors", "what was read stays");
    }
}

#[test]
fn a_workflow_is_its_class_types() {
    let of = |classes: &[(&str, &str)]| graph(&samples(classes)).workflow;
    let one = of(&[("A", ""), ("B", r#""text": "x""#), ("B", "")]);
    assert_eq!(one, "845dc029c8b5", "it must not change from release to release");
    assert_eq!(of(&[("B", ""), ("A", r#""seed": 7"#), ("B", "")]), one);
    assert_ne!(of(&[("A", ""), ("B", "")]), one);
    assert_ne!(of(&[("AB", ""), ("B", "")]), of(&[("A", ""), ("BB", "")]));
}

#[test]
fn the_model() {
    let sampler = ("KSampler", r#""model": ["0", 0], "sampler_name": "euler""#);
    for (classes, expected) in [
        (vec![("UNETLoader", r#""unet_name": "flux""#)], "flux"),
        (vec![("LoraLoader", r#""lora_name": "l""#), ("CheckpointLoader", r#""ckpt_name": "c""#)], "c"),
        (
            vec![("CheckpointLoader", r#""ckpt_name": "base""#), ("CheckpointLoader", r#""ckpt_name": "refiner""#)],
            "base",
        ),
        (vec![("UpscaleModelLoader", r#""model_name": "4x""#)], "4x"),
        (vec![("TinyRandomModel", r#""seed": 1"#), sampler], "TinyRandomModel"),
        (
            vec![("TinyRandomModel", ""), ("Patch", r#""model": ["0", 0]"#), ("KSampler", r#""model": ["1", 0]"#)],
            "TinyRandomModel",
        ),
        (
            vec![
                ("Own", ""),
                ("BasicGuider", r#""model": ["0", 0]"#),
                ("SamplerCustomAdvanced", r#""guider": ["1", 0]"#),
            ],
            "Own",
        ),
        (vec![("A", r#""model": ["1", 0]"#), ("KSampler", r#""model": ["0", 0]"#)], "A"),
        (vec![("EmptyImage", ""), ("SaveImage", r#""images": ["0", 0]"#)], ""),
    ] {
        let expected = if expected == "A" { graph(&samples(&classes)).model } else { expected.to_owned() };
        assert_eq!(graph(&samples(&classes)).model, expected, "{classes:?}");
    }
}

#[test]
fn images_of_batches() {
    let save = ("SaveImage", "");
    for (classes, expected) in [
        (vec![("EmptyImage", ""), save, save], Some(2)),
        (vec![("EmptyImage", r#""batch_size": 3"#), save], Some(3)),
        (vec![("EmptyImage", r#""batch_size": 3"#), ("EmptyImage", r#""batch_size": 1"#), save], None),
        (vec![("EmptyImage", r#""batch_size": 3"#)], Some(0)),
    ] {
        assert_eq!(graph(&samples(&classes)).images, expected, "{classes:?}");
    }
}

#[test]
fn bounds() {
    let many: Vec<_> = (0..MAX_NODES + 1).map(|_| ("A", "")).collect();
    let (graph, _, issues) = read(&[samples(&many).as_bytes()]);
    assert_eq!((graph.nodes.len(), graph.workflow.as_str(), graph.images), (MAX_NODES, "", None));
    assert_eq!(issues, [Issue::NodesOverBound]);
}

proptest! {
    #[test]
    fn whatever_comes(body in "[{}\\[\\]\":,a-z0-9 ]{0,200}", at in 0..200_usize) {
        let (one, other) = body.as_bytes().split_at(at.min(body.len()));
        prop_assert_eq!(read(&[one, other]), read(&[body.as_bytes()]));
    }

    #[test]
    fn no_text_is_kept(text in "[A-Z]{20}", input in "[a-z]{1,12}") {
        prop_assume!(!MODELS.contains(&input.as_str()) && input != "sampler_name");
        let read = graph(&samples(&[("A", &format!(r#""{input}": "{text}", "x": ["{text}", 0], "y": {{"text": "{text}"}}"#))]));
        let shown = format!("{read:?}");
        prop_assert!(!shown.contains(&text));
    }
}
