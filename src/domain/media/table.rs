//! Every type that detection can name or a slot may list.

/// What a browser does with a type when it is told to show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Shows it and executes nothing.
    Inert,
    /// May execute what is in it, as the page's own origin.
    Active,
    /// Executes what is in it when there is script, which can be looked for.
    Markup,
    /// Downloads it, or hands it to a plug-in or a program of its own.
    Opaque,
}
use Nature::{Active, Inert, Markup, Opaque};

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    /// With their dots; the first is the one a stored file gets.
    pub(super) extensions: &'static [&'static str],
    pub(super) aliases: &'static [&'static str],
}

const fn row(
    name: &'static str,
    nature: Nature,
    extensions: &'static [&'static str],
    aliases: &'static [&'static str],
) -> Row {
    Row {
        name,
        nature,
        extensions,
        aliases,
    }
}

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("image/png", Inert, &[".png"], &["image/x-png"]),
    row("image/jpeg", Inert, &[".jpg", ".jpeg", ".jpe", ".jfif"], &["image/jpg", "image/pjpeg", "image/x-jpeg"]),
    row("image/gif", Inert, &[".gif"], &[]),
    row("image/webp", Inert, &[".webp"], &[]),
    row("image/avif", Inert, &[".avif"], &["image/avif-sequence"]),
    row("image/heic", Inert, &[".heic", ".heics", ".hif"], &["image/heic-sequence"]),
    row("image/heif", Inert, &[".heif", ".heifs"], &["image/heif-sequence"]),
    row("image/bmp", Inert, &[".bmp", ".dib"], &["image/x-bmp", "image/x-ms-bmp", "image/x-windows-bmp"]),
    row("image/tiff", Inert, &[".tiff", ".tif"], &["image/x-tiff", "image/tif"]),
    row("image/x-canon-cr2", Opaque, &[".cr2"], &[]),
    row("image/x-canon-cr3", Opaque, &[".cr3"], &[]),
    row("image/x-adobe-dng", Opaque, &[".dng"], &["image/dng"]),
    row("image/vnd.microsoft.icon", Inert, &[".ico"], &["image/x-icon", "image/ico", "image/icon"]),
    row("image/jp2", Opaque, &[".jp2"], &["image/jpeg2000"]),
    row("image/jxl", Inert, &[".jxl"], &[]),
    row("image/vnd.adobe.photoshop", Opaque, &[".psd"], &["image/x-photoshop", "application/x-photoshop", "application/photoshop"]),
    row("image/vnd.djvu", Opaque, &[".djvu", ".djv"], &["image/x-djvu"]),
    row("image/svg+xml", Markup, &[".svg"], &["image/svg"]),
    row("text/html", Active, &[".html", ".htm"], &[]),
    row("application/xhtml+xml", Active, &[".xhtml", ".xht"], &[]),
    row("application/xml", Markup, &[".xml", ".xsl", ".xslt", ".xsd"], &["text/xml", "text/xsl"]),
    row("text/javascript", Active, &[".js", ".mjs", ".cjs"], &["application/javascript", "application/x-javascript", "application/ecmascript", "text/ecmascript"]),
    row("application/wasm", Active, &[".wasm"], &[]),
    row("application/x-shockwave-flash", Active, &[".swf"], &["application/vnd.adobe.flash.movie"]),
    row("application/x-httpd-php", Active, &[".php", ".phtml", ".phar"], &["application/x-php", "text/x-php", "text/php"]),
    row("text/plain", Inert, &[".txt", ".text", ".log", ".ini", ".conf", ".nfo"], &["text/x-log"]),
    row("text/csv", Opaque, &[".csv"], &["application/csv", "text/x-csv", "text/comma-separated-values"]),
    row("text/tab-separated-values", Opaque, &[".tsv", ".tab"], &["text/tsv"]),
    row("text/markdown", Opaque, &[".md", ".markdown"], &["text/x-markdown"]),
    row("text/css", Opaque, &[".css"], &[]),
    row("text/calendar", Opaque, &[".ics"], &[]),
    row("text/vcard", Opaque, &[".vcf", ".vcard"], &["text/x-vcard", "text/directory"]),
    row("text/vtt", Opaque, &[".vtt"], &[]),
    row("application/x-subrip", Opaque, &[".srt"], &["text/srt"]),
    row("text/x-shellscript", Opaque, &[".sh", ".bash"], &["application/x-sh", "application/x-shellscript", "text/x-sh"]),
    row("application/json", Opaque, &[".json"], &["text/json", "application/x-json"]),
    row("application/geo+json", Opaque, &[".geojson"], &[]),
    row("application/x-ndjson", Opaque, &[".ndjson", ".jsonl"], &["application/jsonl", "application/ndjson"]),
    row("application/yaml", Opaque, &[".yaml", ".yml"], &["application/x-yaml", "text/yaml", "text/x-yaml"]),
    row("application/toml", Opaque, &[".toml"], &[]),
    row("application/sql", Opaque, &[".sql"], &["text/x-sql"]),
    row("application/rtf", Opaque, &[".rtf"], &["text/rtf"]),
    row("application/postscript", Opaque, &[".ps", ".eps", ".ai"], &["image/x-eps"]),
    row("application/pdf", Opaque, &[".pdf"], &["application/x-pdf", "application/acrobat", "text/pdf"]),
    row("application/zip", Opaque, &[".zip"], &["application/x-zip-compressed", "application/x-zip", "multipart/x-zip"]),
    row(DOCX, Opaque, &[".docx"], &[]),
    row(XLSX, Opaque, &[".xlsx"], &[]),
    row(PPTX, Opaque, &[".pptx"], &[]),
    row(DOCM, Opaque, &[".docm"], &[]),
    row(XLSM, Opaque, &[".xlsm"], &[]),
    row(XLSB, Opaque, &[".xlsb"], &[]),
    row(PPTM, Opaque, &[".pptm"], &[]),
    row("application/vnd.oasis.opendocument.text", Opaque, &[".odt"], &[]),
    row("application/vnd.oasis.opendocument.spreadsheet", Opaque, &[".ods"], &[]),
    row("application/vnd.oasis.opendocument.presentation", Opaque, &[".odp"], &[]),
    row("application/vnd.oasis.opendocument.graphics", Opaque, &[".odg"], &[]),
    row("application/epub+zip", Opaque, &[".epub"], &[]),
    row("application/java-archive", Opaque, &[".jar"], &["application/x-java-archive", "application/x-jar"]),
    row("application/vnd.android.package-archive", Opaque, &[".apk"], &[]),
    row("application/msword", Opaque, &[".doc", ".dot"], &["application/vnd.ms-word", "application/doc"]),
    row("application/vnd.ms-excel", Opaque, &[".xls", ".xlt"], &["application/msexcel", "application/x-msexcel", "application/excel"]),
    row("application/vnd.ms-powerpoint", Opaque, &[".ppt", ".pps"], &["application/mspowerpoint", "application/powerpoint"]),
    row("application/vnd.ms-outlook", Opaque, &[".msg"], &[]),
    row("application/x-msi", Opaque, &[".msi"], &[]),
    row("application/x-ole-storage", Opaque, &[], &["application/x-cfb"]),
    row("application/gzip", Opaque, &[".gz", ".tgz"], &["application/x-gzip", "application/x-compressed-tar"]),
    row("application/x-bzip2", Opaque, &[".bz2"], &["application/bzip2"]),
    row("application/x-xz", Opaque, &[".xz"], &[]),
    row("application/zstd", Opaque, &[".zst"], &["application/x-zstd"]),
    row("application/x-7z-compressed", Opaque, &[".7z"], &[]),
    row("application/vnd.rar", Opaque, &[".rar"], &["application/x-rar-compressed", "application/x-rar"]),
    row("application/x-tar", Opaque, &[".tar"], &["application/tar"]),
    row("video/mp4", Inert, &[".mp4"], &["application/mp4"]),
    row("video/x-m4v", Inert, &[".m4v"], &[]),
    row("video/quicktime", Inert, &[".mov", ".qt"], &[]),
    row("video/3gpp", Inert, &[".3gp"], &["audio/3gpp"]),
    row("video/3gpp2", Inert, &[".3g2"], &["audio/3gpp2"]),
    row("video/webm", Inert, &[".webm"], &[]),
    row("video/matroska", Inert, &[".mkv"], &["video/x-matroska"]),
    row("video/x-msvideo", Opaque, &[".avi"], &["video/avi", "video/msvideo", "video/vnd.avi"]),
    row("video/x-ms-wmv", Opaque, &[".wmv"], &[]),
    row("video/mpeg", Opaque, &[".mpg", ".mpeg"], &[]),
    row("video/x-flv", Opaque, &[".flv"], &[]),
    row("video/ogg", Inert, &[".ogv"], &[]),
    row("audio/mpeg", Inert, &[".mp3"], &["audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/mpeg3"]),
    row("audio/mp4", Inert, &[".m4a", ".m4b"], &["audio/x-m4a", "audio/m4a"]),
    row("audio/aac", Inert, &[".aac"], &["audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts"]),
    row("audio/ogg", Inert, &[".ogg", ".oga", ".opus", ".spx"], &["audio/opus", "application/ogg", "audio/vorbis"]),
    row("audio/webm", Inert, &[".weba"], &[]),
    row("audio/wav", Inert, &[".wav", ".wave"], &["audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"]),
    row("audio/flac", Inert, &[".flac"], &["audio/x-flac"]),
    row("audio/aiff", Opaque, &[".aiff", ".aif"], &["audio/x-aiff"]),
    row("audio/midi", Opaque, &[".mid", ".midi"], &["audio/x-midi", "audio/mid"]),
    row("audio/amr", Opaque, &[".amr"], &[]),
    row("font/ttf", Opaque, &[".ttf"], &["application/x-font-ttf", "application/font-sfnt"]),
    row("font/otf", Opaque, &[".otf"], &["application/x-font-otf", "application/x-font-opentype"]),
    row("font/woff", Opaque, &[".woff"], &["application/font-woff", "application/x-font-woff"]),
    row("font/woff2", Opaque, &[".woff2"], &["application/font-woff2"]),
    row("application/vnd.microsoft.portable-executable", Opaque, &[".exe", ".dll"], &["application/x-msdownload", "application/x-msdos-program", "application/x-dosexec"]),
    row("application/x-executable", Opaque, &[".elf"], &["application/x-elf", "application/x-sharedlib"]),
    row("application/x-mach-binary", Opaque, &[], &[]),
    row("application/java", Opaque, &[".class"], &["application/java-vm"]),
    row("application/vnd.sqlite3", Opaque, &[".sqlite", ".sqlite3"], &["application/x-sqlite3"]),
    row("application/vnd.debian.binary-package", Opaque, &[".deb"], &[]),
    row("application/x-rpm", Opaque, &[".rpm"], &[]),
    row("application/x-google-chrome-extension", Opaque, &[".crx"], &["application/x-chrome-extension"]),
    row("application/vnd.ms-cab-compressed", Opaque, &[".cab"], &[]),
    row("application/x-mobipocket-ebook", Opaque, &[".mobi"], &[]),
    row("application/dicom", Opaque, &[".dcm"], &[]),
    row("image/x-nikon-nef", Opaque, &[".nef"], &[]),
    row("image/x-sony-arw", Opaque, &[".arw"], &[]),
    row("image/x-olympus-orf", Opaque, &[".orf"], &[]),
    row("image/x-panasonic-rw2", Opaque, &[".rw2"], &[]),
    row("image/x-fuji-raf", Opaque, &[".raf"], &[]),
    row("image/x-win-bitmap", Opaque, &[".cur"], &[]),
    row("image/jpx", Opaque, &[".jpx", ".jpf"], &[]),
    row("image/j2c", Opaque, &[".j2c", ".j2k", ".jpc"], &["image/x-jp2-codestream"]),
    row("image/jxr", Opaque, &[".jxr", ".hdp", ".wdp"], &["image/vnd.ms-photo"]),
    row("image/x-exr", Opaque, &[".exr"], &[]),
    row("image/vnd.radiance", Opaque, &[".hdr"], &[]),
    row("image/x-xcf", Opaque, &[".xcf"], &[]),
    row("image/vnd.ms-dds", Opaque, &[".dds"], &["image/x-dds"]),
    row("image/qoi", Opaque, &[".qoi"], &["image/x-qoi"]),
    row("image/wmf", Opaque, &[".wmf"], &["image/x-wmf"]),
    row("image/emf", Opaque, &[".emf"], &["image/x-emf"]),
    row("image/x-portable-anymap", Opaque, &[".pnm", ".pbm", ".pgm", ".ppm", ".pam"], &["image/x-portable-bitmap", "image/x-portable-graymap", "image/x-portable-pixmap"]),
    row("application/atom+xml", Opaque, &[".atom"], &[]),
    row("application/rss+xml", Opaque, &[".rss"], &[]),
    row("application/gpx+xml", Opaque, &[".gpx"], &["application/gpx"]),
    row("application/vnd.google-earth.kml+xml", Opaque, &[".kml"], &[]),
    row("application/x-plist", Opaque, &[".plist"], &[]),
    row("application/vnd.google-earth.kmz", Opaque, &[".kmz"], &[]),
    row("application/x-ipynb+json", Opaque, &[".ipynb"], &[]),
    row("application/ld+json", Opaque, &[".jsonld"], &[]),
    row("application/manifest+json", Opaque, &[".webmanifest"], &[]),
    row("application/x-tex", Opaque, &[".tex"], &["text/x-tex"]),
    row("message/rfc822", Opaque, &[".eml", ".mht", ".mhtml"], &[]),
    row("text/x-python", Opaque, &[".py"], &["application/x-python"]),
    row("text/x-c", Opaque, &[".c", ".h", ".cpp", ".hpp", ".cc"], &["text/x-csrc", "text/x-c++src"]),
    row("text/x-rust", Opaque, &[".rs"], &[]),
    row("text/x-go", Opaque, &[".go"], &[]),
    row("text/x-java", Opaque, &[".java"], &["text/x-java-source"]),
    row("text/typescript", Opaque, &[".tsx"], &["application/typescript"]),
    row("text/x-ruby", Opaque, &[".rb"], &[]),
    row("text/x-rst", Opaque, &[".rst"], &["text/prs.fallenstein.rst"]),
    row("text/x-bibtex", Opaque, &[".bib"], &["application/x-bibtex"]),
    row("application/x-bat", Opaque, &[".bat", ".cmd"], &[]),
    row("text/x-powershell", Opaque, &[".ps1"], &[]),
    row("model/obj", Opaque, &[".obj"], &[]),
    row("model/stl", Opaque, &[".stl"], &["application/sla", "application/vnd.ms-pki.stl"]),
    row("model/step", Opaque, &[".step", ".stp"], &["application/step"]),
    row("model/gltf+json", Opaque, &[".gltf"], &[]),
    row("model/gltf-binary", Opaque, &[".glb"], &[]),
    row("model/3mf", Opaque, &[".3mf"], &["application/vnd.ms-package.3dmanufacturing-3dmodel+xml"]),
    row(DOTX, Opaque, &[".dotx"], &[]),
    row(DOTM, Opaque, &[".dotm"], &[]),
    row(XLTX, Opaque, &[".xltx"], &[]),
    row(XLTM, Opaque, &[".xltm"], &[]),
    row(XLAM, Opaque, &[".xlam"], &[]),
    row(POTX, Opaque, &[".potx"], &[]),
    row(POTM, Opaque, &[".potm"], &[]),
    row(PPSX, Opaque, &[".ppsx"], &[]),
    row(PPSM, Opaque, &[".ppsm"], &[]),
    row(PPAM, Opaque, &[".ppam"], &[]),
    row("application/vnd.ms-visio.drawing.main+xml", Opaque, &[".vsdx"], &["application/vnd.ms-visio.drawing"]),
    row("application/vnd.ms-visio.drawing.macroenabled.main+xml", Opaque, &[".vsdm"], &[]),
    row("application/oxps", Opaque, &[".oxps", ".xps"], &["application/vnd.ms-xpsdocument"]),
    row("application/vnd.oasis.opendocument.text-template", Opaque, &[".ott"], &[]),
    row("application/vnd.oasis.opendocument.text-master", Opaque, &[".odm"], &[]),
    row("application/vnd.oasis.opendocument.text-web", Opaque, &[".oth"], &[]),
    row("application/vnd.oasis.opendocument.spreadsheet-template", Opaque, &[".ots"], &[]),
    row("application/vnd.oasis.opendocument.presentation-template", Opaque, &[".otp"], &[]),
    row("application/vnd.oasis.opendocument.graphics-template", Opaque, &[".otg"], &[]),
    row("application/vnd.oasis.opendocument.formula", Opaque, &[".odf"], &[]),
    row("application/vnd.oasis.opendocument.chart", Opaque, &[".odc"], &[]),
    row("application/vnd.oasis.opendocument.image", Opaque, &[".odi"], &[]),
    row("application/vnd.oasis.opendocument.base", Opaque, &[".odb"], &["application/vnd.sun.xml.base", "application/vnd.oasis.opendocument.database"]),
    row("application/vnd.visio", Opaque, &[".vsd", ".vst"], &["application/x-visio"]),
    row("application/x-mspublisher", Opaque, &[".pub"], &["application/vnd.ms-publisher"]),
    row("application/vnd.ms-project", Opaque, &[".mpp"], &[]),
    row("application/x-hwp", Opaque, &[".hwp"], &["application/vnd.hancom.hwp"]),
    row("application/x-lz4", Opaque, &[".lz4"], &[]),
    row("application/x-lzip", Opaque, &[".lz"], &["application/lzip"]),
    row("application/x-compress", Opaque, &[".z"], &[]),
    row("application/x-lzma", Opaque, &[".lzma"], &[]),
    row("application/x-iso9660-image", Opaque, &[".iso"], &["application/vnd.efi.iso"]),
    row("application/x-archive", Opaque, &[".a", ".ar"], &["application/x-unix-archive"]),
    row("application/x-cpio", Opaque, &[".cpio"], &[]),
    row("application/x-arj", Opaque, &[".arj"], &[]),
    row("application/x-lzh-compressed", Opaque, &[".lzh", ".lha"], &["application/x-lha"]),
    row("application/x-xar", Opaque, &[".xar", ".pkg"], &[]),
    row("application/vnd.android.dex", Opaque, &[".dex"], &[]),
    row("application/vnd.apache.parquet", Opaque, &[".parquet"], &["application/x-parquet"]),
    row("application/vnd.apache.avro", Opaque, &[".avro"], &["application/avro"]),
    row("application/vnd.apache.arrow.file", Opaque, &[".arrow", ".feather"], &[]),
    row("application/x-hdf5", Opaque, &[".h5", ".hdf5"], &["application/x-hdf"]),
    row("application/x-bittorrent", Opaque, &[".torrent"], &[]),
    row("application/vnd.tcpdump.pcap", Opaque, &[".pcap"], &[]),
    row("application/x-msaccess", Opaque, &[".mdb", ".accdb"], &["application/vnd.ms-access"]),
    row("application/vnd.ms-htmlhelp", Opaque, &[".chm"], &[]),
    row("application/x-ms-shortcut", Opaque, &[".lnk"], &[]),
    row("application/vnd.ms-fontobject", Opaque, &[".eot"], &[]),
    row("font/collection", Opaque, &[".ttc", ".otc"], &["application/x-font-ttc"]),
    row("application/x-llvm-bitcode", Opaque, &[".bc"], &[]),
    row("application/x-bplist", Opaque, &[], &[]),
    row("video/mp2t", Opaque, &[".ts", ".m2ts", ".mts"], &["video/m2ts"]),
    row("video/mj2", Opaque, &[".mj2"], &[]),
    row("video/x-ms-asf", Opaque, &[".asf"], &["application/vnd.ms-asf"]),
    row("audio/x-ms-wma", Opaque, &[".wma"], &[]),
    row("application/vnd.rn-realmedia", Opaque, &[".rm", ".rmvb"], &[]),
    row("audio/basic", Opaque, &[".au", ".snd"], &[]),
    row("audio/ac3", Opaque, &[".ac3"], &["audio/x-ac3", "audio/vnd.dolby.dd-raw"]),
    row("audio/x-ape", Opaque, &[".ape"], &["audio/ape"]),
    row("audio/x-musepack", Opaque, &[".mpc"], &[]),
    row("audio/x-wavpack", Opaque, &[".wv"], &[]),
    row("audio/x-tta", Opaque, &[".tta"], &[]),
    row("audio/amr-wb", Opaque, &[".awb"], &[]),
    row("audio/x-caf", Opaque, &[".caf"], &[]),
    row("audio/x-mod", Opaque, &[".xm"], &[]),
    row("audio/x-dsf", Opaque, &[".dsf"], &[]),
    row("application/octet-stream", Opaque, &[".bin"], &["binary/octet-stream", "application/x-download", "application/force-download"]),
];

/// Word's, Excel's and `PowerPoint`'s types, too long to write twice.
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
/// An Excel workbook.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// A `PowerPoint` presentation.
pub const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
/// A Word document with macros.
pub const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";
/// An Excel workbook with macros.
pub const XLSM: &str = "application/vnd.ms-excel.sheet.macroenabled.12";
/// A binary Excel workbook, which may hold macros.
pub const XLSB: &str = "application/vnd.ms-excel.sheet.binary.macroenabled.12";
/// A `PowerPoint` presentation with macros.
pub const PPTM: &str = "application/vnd.ms-powerpoint.presentation.macroenabled.12";
/// A Word template.
pub const DOTX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.template";
/// A Word template with macros.
pub const DOTM: &str = "application/vnd.ms-word.template.macroenabled.12";
/// An Excel template.
pub const XLTX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.template";
/// An Excel template with macros.
pub const XLTM: &str = "application/vnd.ms-excel.template.macroenabled.12";
/// An Excel add-in.
pub const XLAM: &str = "application/vnd.ms-excel.addin.macroenabled.12";
/// A `PowerPoint` template.
pub const POTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.template";
/// A `PowerPoint` template with macros.
pub const POTM: &str = "application/vnd.ms-powerpoint.template.macroenabled.12";
/// A `PowerPoint` slide show.
pub const PPSX: &str = "application/vnd.openxmlformats-officedocument.presentationml.slideshow";
/// A `PowerPoint` slide show with macros.
pub const PPSM: &str = "application/vnd.ms-powerpoint.slideshow.macroenabled.12";
/// A `PowerPoint` add-in.
pub const PPAM: &str = "application/vnd.ms-powerpoint.addin.macroenabled.12";
/// What bytes of no known type are stored as.
pub const OCTET_STREAM: &str = "application/octet-stream";
