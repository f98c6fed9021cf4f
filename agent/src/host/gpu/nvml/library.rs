//! NVIDIA's library: opened, and watched for being replaced.

use super::raw::Raw;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What the driver's package installs, and what containers get of it.
const NAME: &str = "libnvidia-ml.so.1";
/// What NVIDIA's driver says of itself.
const DRIVER: &str = "/proc/driver/nvidia";

/// The library, initialised. Dropping it shuts it down and unloads it.
#[derive(Debug)]
pub struct Library {
    // In this order: shut down before the last handle is closed.
    pub(super) nvml: Nvml,
    pub(super) raw: Raw,
    /// The driver's version.
    pub driver: String,
    fingerprint: Fingerprint,
}

/// Where to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    library: PathBuf,
    driver: PathBuf,
}

/// What changes with the library, the driver, or the devices that the driver has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    place: Place,
    file: Option<PathBuf>,
    inode: Option<(u64, u64)>,
    version: Option<String>,
    devices: Vec<String>,
}

impl Place {
    /// The library at `path`, or where the system looks for it when that is empty.
    #[must_use]
    pub fn new(path: &str) -> Place {
        let library = if path.is_empty() { NAME } else { path };
        Place { library: library.into(), driver: DRIVER.into() }
    }

    /// The same with the driver's own folder elsewhere.
    #[must_use]
    pub fn with_driver(self, folder: &Path) -> Place {
        Place { driver: folder.into(), ..self }
    }
}

impl Library {
    /// Loads and initialises it.
    ///
    /// # Errors
    /// With a sentence: no library, no driver, or the two do not fit.
    pub fn open(place: &Place) -> Result<Library, String> {
        let name: &OsStr = place.library.as_ref();
        let nvml = Nvml::builder().lib_path(name).init().map_err(|error| why(&error))?;
        let raw = Raw::of_loaded(&place.library).ok_or("the library vanished while it was loaded")?;
        let driver = nvml.sys_driver_version().map_err(|error| why(&error))?;
        let fingerprint = Fingerprint::take(place.clone(), raw.path());
        Ok(Library { nvml, raw, driver, fingerprint })
    }

    /// The file that it was loaded from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.fingerprint.file.as_deref()
    }

    /// So many devices.
    ///
    /// # Errors
    /// In the driver's words.
    pub fn device_count(&self) -> Result<u32, String> {
        self.nvml.device_count().map_err(|error| why(&error))
    }

    /// Whether another library, driver or set of devices is there than when it was opened. Asks the file system only.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let Fingerprint { place, file, .. } = self.fingerprint.clone();
        Fingerprint::take(place, file) != self.fingerprint
    }
}

impl Fingerprint {
    fn take(place: Place, file: Option<PathBuf>) -> Fingerprint {
        let inode = file.as_ref().and_then(|file| fs::metadata(file).ok());
        let inode = inode.map(|metadata| (metadata.dev(), metadata.ino()));
        let version = fs::read_to_string(place.driver.join("version")).ok();
        let mut devices = names(&place.driver.join("gpus")).unwrap_or_default();
        devices.sort();
        Fingerprint { place, file, inode, version, devices }
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Why it cannot be used, in words that tell what to do.
fn why(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(error) => format!("NVIDIA's library cannot be loaded: {error}"),
        NvmlError::FailedToLoadSymbol(_) => "what is there under the name of NVIDIA's library is not NVML".to_owned(),
        NvmlError::DriverNotLoaded => "NVIDIA's library is there, its kernel driver is not loaded".to_owned(),
        NvmlError::LibRmVersionMismatch => {
            "NVIDIA's library and kernel driver are of different versions: reload the driver, or restart the host"
                .to_owned()
        }
        NvmlError::NoPermission => "the agent may not open NVIDIA's devices (/dev/nvidiactl)".to_owned(),
        other => format!("NVIDIA's driver says: {other}"),
    }
}
