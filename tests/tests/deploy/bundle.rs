//! What a container runtime is told of a pod's container, as the kubelet and containerd would tell it: an OCI bundle with the
//! image's root and a configuration made of the pod's specification.
//!
//! Of the specification it takes what decides over privileges: user, capabilities, privilege escalation, seccomp, the root's
//! being read only, namespaces, volumes, memory. It fails where there is something of these that it does not know.

use crate::image;
use crate::tool::{output, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The profile that podman and CRI-O call the runtime's default, as Debian installs it.
const SECCOMP: &str = "/usr/share/containers/seccomp.json";

/// A folder that runc runs.
pub struct Bundle {
    /// Where it is.
    pub folder: PathBuf,
}

impl Bundle {
    /// Unpacks the image into `folder` and configures it for the first container of the pods that `objects` describe.
    pub fn of(objects: &[Value], folder: &Path) -> Bundle {
        let _ = fs::remove_dir_all(folder);
        let (unpacked, node) = (folder.join("bundle"), folder.join("node"));
        output(tool("umoci").args(["unpack", "--image", &image::reference()]).arg(&unpacked));
        let path = unpacked.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("umoci writes it")).expect("JSON");
        let pod = &crate::chart::only(objects, "DaemonSet")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        process(&mut config["process"], container);
        config["root"]["readonly"] = container["securityContext"]["readOnlyRootFilesystem"].clone();
        assert_eq!(pod["hostPID"], true, "the agent looks at the host's processes");
        let kinds = ["mount", "network", "ipc", "uts"];
        config["linux"]["namespaces"] = kinds.iter().map(|kind| json!({"type": kind})).collect();
        let memory = container["resources"]["limits"]["memory"].as_str().expect("a limit of memory");
        config["linux"]["resources"]["memory"] = json!({"limit": bytes(memory)});
        if container["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault" {
            config["linux"]["seccomp"] = seccomp(&config["process"]["capabilities"]["bounding"]);
        }
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        for mount in container["volumeMounts"].as_array().expect("the pod mounts something") {
            let volume =
                pod["volumes"].as_array().and_then(|all| all.iter().find(|volume| volume["name"] == mount["name"]));
            let source = source(volume.expect("every mount has a volume"), objects, &node);
            let access = if mount["readOnly"] == true { "ro" } else { "rw" };
            let options = ["rbind", "nosuid", "nodev", access];
            mounts
                .push(json!({"destination": mount["mountPath"], "type": "bind", "source": source, "options": options}));
        }
        fs::write(&path, config.to_string()).expect("the bundle is writable");
        Bundle { folder: unpacked }
    }
}

/// User, capabilities, arguments and environment.
fn process(process: &mut Value, container: &Value) {
    let context = &container["securityContext"];
    assert_eq!((&context["privileged"], &context["capabilities"]["drop"]), (&json!(false), &json!(["ALL"])));
    process["terminal"] = json!(false);
    process["user"] = json!({"uid": context["runAsUser"], "gid": context["runAsGroup"]});
    let added = context["capabilities"]["add"].as_array().expect("capabilities");
    let added: Value = added.iter().filter_map(Value::as_str).map(|name| json!(format!("CAP_{name}"))).collect();
    // As containerd does it: neither inheritable nor ambient, which is why only root has them.
    process["capabilities"] = json!({"bounding": added, "effective": added, "permitted": added});
    process["noNewPrivileges"] = json!(context["allowPrivilegeEscalation"] == false);
    let program = process["args"][0].clone();
    let arguments = container["args"].as_array().cloned().unwrap_or_default();
    process["args"] = [program].into_iter().chain(arguments).collect();
    let environment = process["env"].as_array_mut().expect("the image has an environment");
    for variable in container["env"].as_array().into_iter().flatten() {
        let (name, value) = (&variable["name"], variable["value"].as_str().unwrap_or("node-1"));
        let value = value.replace("$(NODE_NAME)", "node-1");
        environment.push(json!(format!("{}={value}", name.as_str().expect("a name"))));
    }
}

/// The folder of the host that a volume is. What this host lacks of a node is made in `node`.
fn source(volume: &Value, objects: &[Value], node: &Path) -> PathBuf {
    if let Some(name) = volume["configMap"]["name"].as_str() {
        let map = objects.iter().find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name);
        let folder = node.join("config").join(name);
        fs::create_dir_all(&folder).expect("the folder is writable");
        for (file, text) in map.and_then(|map| map["data"].as_object()).expect("the map is rendered") {
            fs::write(folder.join(file), text.as_str().expect("text")).expect("the folder is writable");
        }
        return folder;
    }
    let path = Path::new(volume["hostPath"]["path"].as_str().expect("a volume is a map or of the host"));
    if path.is_dir() {
        return path.to_owned();
    }
    let made = node.join(path.strip_prefix("/").expect("absolute"));
    fs::create_dir_all(&made).expect("the folder is writable");
    made
}

/// The runtime's default profile for somebody with these capabilities.
fn seccomp(capabilities: &Value) -> Value {
    let profile: Value = serde_json::from_slice(&fs::read(SECCOMP).expect("buildah brings it")).expect("JSON");
    let capabilities = capabilities.as_array().expect("a list");
    let architecture = json!(image::ARCHITECTURE);
    let listed = |rule: &Value, side: &str, what: &str| rule[side][what].as_array().cloned().unwrap_or_default();
    let applies = |rule: &&Value| {
        let held = |capability: &Value| capabilities.contains(capability);
        listed(rule, "includes", "caps").iter().all(held)
            && !listed(rule, "excludes", "caps").iter().any(held)
            && (listed(rule, "includes", "arches").is_empty()
                || listed(rule, "includes", "arches").contains(&architecture))
            && !listed(rule, "excludes", "arches").contains(&architecture)
    };
    let rules = profile["syscalls"].as_array().expect("rules").iter().filter(applies).map(|rule| {
        let mut rule = rule.clone();
        rule.as_object_mut()
            .expect("a rule")
            .retain(|key, value| matches!(key.as_str(), "names" | "action" | "args" | "errnoRet") && !value.is_null());
        rule
    });
    json!({
        "defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"],
        "syscalls": rules.collect::<Vec<_>>(),
    })
}

/// A quantity of memory as Kubernetes writes it.
fn bytes(quantity: &str) -> u64 {
    let mebibytes = quantity.strip_suffix("Mi").and_then(|number| number.parse::<u64>().ok());
    mebibytes.expect("a limit in Mi") << 20
}
