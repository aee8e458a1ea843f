"""Sound and film: FFmpeg, GStreamer, SoX, LAME, FLAC, Xiph's encoders, MKVToolNix, libsndfile."""

import shutil
import wave

from . import maker, run

FILM = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=0.6"]
TONE = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.6"]
STILL = ["-map", "0:v", "-map", "1:a", "-shortest"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MPEG4 = ["-c:v", "mpeg4"]
VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "60k"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "60k"]
AAC = ["-c:a", "aac", "-b:a", "48k"]


def ffmpeg(path, *how):
    run("ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *how, "-fflags", "+bitexact", "-flags", "+bitexact", path)


@maker("ffmpeg", "ffmpeg")
def film_by_ffmpeg(shelf):
    both = [*FILM, *TONE, *STILL]
    for kind in ("mp4", "mov", "m4v"):
        for name, how in (
            ("h264", [*H264, *AAC]),
            ("mpeg4", [*MPEG4, *AAC]),
            ("faststart", [*H264, *AAC, "-movflags", "+faststart"]),
            ("fragmented", [*H264, *AAC, "-movflags", "frag_keyframe+empty_moov+default_base_moof"]),
            ("silent", [*H264, "-an"]),
            ("hevc", ["-c:v", "libx265", "-x265-params", "log-level=none", "-preset", "ultrafast", "-tag:v", "hvc1", *AAC, *(["-f", "mp4"] if kind == "m4v" else [])]),
            ("titled", [*H264, *AAC, "-metadata", "title=A title", "-metadata", "comment=words"]),
        ):
            shelf.make(kind, name, lambda path: ffmpeg(path, *both, *how))
    for name, how in (
        ("av1", ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-b:v", "50k", *AAC]),
        ("vp9", [*VP9, "-c:a", "libopus"]),
        ("iso6", [*H264, *AAC, "-brand", "iso6"]),
        ("dash", [*H264, *AAC, "-brand", "dash", "-movflags", "frag_keyframe+empty_moov"]),
        ("mp42", [*H264, *AAC, "-brand", "mp42"]),
        ("avc1", [*H264, *AAC, "-brand", "avc1"]),
        ("psp", [*MPEG4, *AAC, "-ar", "48000", "-f", "psp", "-r", "30000/1001", "-s", "160x112"]),
        ("ipod", [*H264, *AAC, "-f", "ipod"]),
        ("subtitles-free", [*H264, "-c:a", "libmp3lame"]),
    ):
        shelf.make("m4v" if name == "ipod" else "mp4", name, lambda path: ffmpeg(path, *both, *how))
    for name, how in (
        ("prores", ["-c:v", "prores_ks", "-c:a", "pcm_s16le"]),
        ("mjpeg", ["-c:v", "mjpeg", "-q:v", "9", "-c:a", "pcm_s16be"]),
        ("png", ["-c:v", "png", "-an"]),
        ("qtrle", ["-c:v", "qtrle", "-an"]),
        ("sound", ["-vn", "-c:a", "pcm_s16le"]),
    ):
        shelf.make("mov", name, lambda path: ffmpeg(path, *both, *how))
    for name, how in (
        ("h263", ["-c:v", "h263", "-s", "128x96", "-c:a", "aac"]),
        ("mpeg4", [*MPEG4, "-c:a", "aac"]),
        ("h264", [*H264, *AAC]),
        ("silent", [*H264, "-an"]),
        ("big", [*H264, "-s", "176x144", *AAC]),
        ("fragmented", [*H264, *AAC, "-movflags", "frag_keyframe+empty_moov"]),
    ):
        shelf.make("3gp", name, lambda path: ffmpeg(path, *both, *how))
        shelf.make("3g2", name, lambda path: ffmpeg(path, *both, *how))
    for kind, videos, sounds in (
        ("webm", (VP8, VP9), ("libvorbis", "libopus")),
        ("mkv", (H264, MPEG4, VP8, ["-c:v", "ffv1"]), ("libvorbis", "flac", "aac", "libmp3lame", "pcm_s16le")),
        ("avi", (MPEG4, H264, ["-c:v", "mjpeg"], ["-c:v", "rawvideo", "-s", "32x24"], ["-c:v", "huffyuv"]), ("libmp3lame", "pcm_s16le", "ac3")),
        ("flv", (["-c:v", "flv1"], H264), ("libmp3lame", "aac")),
        ("ogv", (["-c:v", "libtheora"],), ("libvorbis", "flac")),
        ("wmv", (["-c:v", "wmv1"], ["-c:v", "wmv2"]), ("wmav2", "wmav1")),
        ("mpg", (["-c:v", "mpeg1video"], ["-c:v", "mpeg2video"]), ("mp2",)),
        ("ts", (H264, ["-c:v", "mpeg2video"]), ("aac", "mp2")),
    ):
        for at, video in enumerate(videos):
            for sound in sounds:
                rate = ["-r", "25"] if kind in ("mpg", "ts") else []
                extra = ["-ar", "44100"] if kind == "flv" else []
                shelf.make(kind, f"v{at}-{sound}", lambda path: ffmpeg(path, *FILM, *TONE, *STILL, *video, *rate, "-c:a", sound, *extra))
    shelf.make("webm", "silent", lambda path: ffmpeg(path, *FILM, *VP8))
    shelf.make("webm", "alpha", lambda path: ffmpeg(path, *FILM, *VP8, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"))
    shelf.make("webm", "live", lambda path: ffmpeg(path, *FILM, *VP8, "-live", "1"))
    shelf.make("webm", "titled", lambda path: ffmpeg(path, *FILM, *VP9, "-metadata", "title=" + "long " * 300))
    shelf.make("webm", "cues-first", lambda path: ffmpeg(path, *FILM, *VP9, "-cues_to_front", "1"))
    for sound in ("libvorbis", "libopus"):
        shelf.make("weba", sound, lambda path: ffmpeg(path, *TONE, "-c:a", sound, "-f", "webm"))
    # Their index lies behind more than the head.
    for kind in ("mp4", "mov", "3gp", "mkv", "avi", "webm"):
        codec = VP8[:2] + ["-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"] if kind == "webm" else [*MPEG4, "-q:v", "2"]
        shelf.make(kind, "long", lambda path: ffmpeg(path, "-f", "lavfi", "-i", "testsrc2=size=176x144:rate=10:duration=4", *codec))
    shelf.make("mkv", "live", lambda path: ffmpeg(path, *FILM, *H264, "-f", "matroska", "-live", "1"))
    shelf.make("mkv", "sound", lambda path: ffmpeg(path, *TONE, "-c:a", "flac"))


@maker("ffmpeg-sound", "ffmpeg")
def sound_by_ffmpeg(shelf):
    for name, how in (
        ("plain", AAC), ("alac", ["-c:a", "alac"]), ("faststart", [*AAC, "-movflags", "+faststart"]),
        ("titled", [*AAC, "-metadata", "title=A title", "-metadata", "artist=Someone"]), ("mono", [*AAC, "-ac", "1", "-ar", "22050"]),
        ("isom", [*AAC, "-f", "mp4"]), ("mp42", [*AAC, "-f", "mp4", "-brand", "mp42"]), ("fragmented", [*AAC, "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"]),
    ):
        shelf.make("m4a", name, lambda path: ffmpeg(path, *TONE, *how))
    for name, how in (
        ("cbr", ["-b:a", "64k"]), ("vbr", ["-q:a", "7"]), ("mono", ["-ac", "1", "-b:a", "32k"]), ("low", ["-ar", "16000", "-b:a", "24k"]),
        ("lowest", ["-ar", "8000", "-b:a", "16k"]), ("bare", ["-id3v2_version", "0", "-write_xing", "0"]), ("id3v23", ["-id3v2_version", "3", "-metadata", "title=T"]),
        ("id3v24", ["-id3v2_version", "4", "-metadata", "title=" + "T" * 500]), ("id3v1", ["-write_id3v1", "1", "-metadata", "title=T"]), ("joint", ["-joint_stereo", "1", "-ac", "2"]),
        ("bare-48k", ["-id3v2_version", "0", "-ar", "48000", "-b:a", "320k"]),
    ):
        shelf.make("mp3", name, lambda path: ffmpeg(path, *TONE, "-c:a", "libmp3lame", *how))
    noise = shelf.scratch / "noise.wav"
    ffmpeg(noise, "-f", "lavfi", "-i", "anoisesrc=duration=1.5:seed=5", "-ac", "2")
    for kind, how in (("wav", []), ("flac", []), ("m4a", ["-c:a", "alac"]), ("mp3", ["-b:a", "320k"]), ("ogg", ["-c:a", "libvorbis", "-q:a", "9"]), ("aiff", []), ("aac", ["-b:a", "320k"])):
        shelf.make(kind, "long", lambda path: ffmpeg(path, "-i", noise, *how))
    cover = shelf.seeds / "p6.png"
    shelf.make("mp3", "cover", lambda path: ffmpeg(path, *TONE, "-i", cover, "-map", "0", "-map", "1", "-c:a", "libmp3lame", "-c:v", "png", "-id3v2_version", "3"))
    for name, how in (
        ("s16", ["-c:a", "pcm_s16le"]), ("u8", ["-c:a", "pcm_u8"]), ("s24", ["-c:a", "pcm_s24le"]), ("f32", ["-c:a", "pcm_f32le"]), ("alaw", ["-c:a", "pcm_alaw"]),
        ("adpcm", ["-c:a", "adpcm_ms"]), ("rf64", ["-rf64", "always"]), ("bext", ["-write_bext", "1", "-metadata", "description=words"]), ("six", ["-ac", "6"]), ("gsm", ["-c:a", "libgsm_ms", "-ar", "8000", "-ac", "1"]),
    ):
        shelf.make("wav", name, lambda path: ffmpeg(path, *TONE, *how))
    for name, how in (("vorbis", ["-c:a", "libvorbis"]), ("flac", ["-c:a", "flac", "-f", "ogg"]), ("speex", ["-c:a", "libspeex", "-ar", "16000", "-ac", "1"]), ("opus", ["-c:a", "libopus", "-f", "ogg"]), ("titled", ["-c:a", "libvorbis", "-metadata", "title=" + "x" * 900])):
        shelf.make("ogg", name, lambda path: ffmpeg(path, *TONE, *how))
    for rate in ("16k", "64k"):
        shelf.make("opus", rate, lambda path: ffmpeg(path, *TONE, "-c:a", "libopus", "-b:a", rate))
    for name, how in (("plain", []), ("deep", ["-sample_fmt", "s32"]), ("mono", ["-ac", "1", "-ar", "8000"]), ("titled", ["-metadata", "title=T"]), ("best", ["-compression_level", "12"])):
        shelf.make("flac", name, lambda path: ffmpeg(path, *TONE, *how))
    for name, how in (("plain", []), ("mono", ["-ac", "1"]), ("low", ["-ar", "16000", "-b:a", "20k"]), ("high", ["-ar", "48000", "-ac", "2", "-b:a", "128k"]), ("six", ["-ac", "6"]), ("tagged", ["-write_id3v2", "1", "-metadata", "title=T"]), ("mpeg2", ["-write_mpeg2", "1"]), ("half", ["-ar", "22050"]), ("fast", ["-aac_coder", "fast"]), ("twelve", ["-ar", "12000", "-b:a", "16k"]), ("ninety-six", ["-ar", "96000"]), ("no-tns", ["-aac_tns", "0", "-aac_is", "0"])):
        shelf.make("aac", name, lambda path: ffmpeg(path, *TONE, "-c:a", "aac", *how))
    for name, how in (("s16", []), ("s24", ["-c:a", "pcm_s24be"]), ("aifc", ["-c:a", "pcm_s16le"]), ("f32", ["-c:a", "pcm_f32be"]), ("titled", ["-write_id3v2", "1", "-metadata", "title=T"])):
        shelf.make("aiff", name, lambda path: ffmpeg(path, *TONE, *how))


@maker("ffmpeg-pictures", "ffmpeg")
def pictures_by_ffmpeg(shelf):
    for at in (0, 2, 4, 5, 6):
        png = shelf.seeds / f"p{at}.png"
        for kind, how in (
            ("jpg", ["-q:v", "5"]), ("png", ["-pred", "mixed"]), ("gif", []), ("webp", ["-c:v", "libwebp"]), ("tiff", ["-compression_algo", "lzw"]),
            ("bmp", []), ("jp2", ["-c:v", "jpeg2000"]), ("jxl", ["-c:v", "libjxl", "-distance", "2"]), ("avif", ["-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "8", "-crf", "40"]),
        ):
            shelf.make(kind, f"p{at}", lambda path: run("ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", "-i", png, *how, *(["-frames:v", "1", "-update", "1"] if kind not in ("gif", "avif") else []), path))
    for side in ("16", "32", "48"):
        for codec in ("bmp", "png"):
            shelf.make("ico", f"s{side}-{codec}", lambda path: ffmpeg(path, "-i", shelf.seeds / "p6.png", "-s", f"{side}x{side}", "-c:v", codec, "-pix_fmt", "bgra" if codec == "bmp" else "rgba"))
    shelf.make("gif", "film", lambda path: ffmpeg(path, *FILM))
    shelf.make("webp", "film", lambda path: ffmpeg(path, *FILM, "-c:v", "libwebp_anim", "-loop", "0"))


@maker("gstreamer", "gst-launch-1.0")
def by_gstreamer(shelf):
    video = "videotestsrc num-buffers=6 pattern={p} ! video/x-raw,width=64,height=48,framerate=10/1"
    audio = "audiotestsrc num-buffers=8 wave={p} ! audio/x-raw,rate=44100,channels=2"

    def gst(kind, name, line):
        shelf.make(kind, name, lambda path: run("gst-launch-1.0", "-q", *line.replace("OUT", str(path)).split()))

    for p in (0, 1, 2, 18):
        v, a = video.format(p=p), audio.format(p=p % 5)
        h264 = "videoconvert ! x264enc speed-preset=ultrafast ! h264parse"
        gst("mp4", f"h264-{p}", f"{v} ! {h264} ! mp4mux ! filesink location=OUT")
        gst("mp4", f"fast-{p}", f"{v} ! {h264} ! mp4mux faststart=true ! filesink location=OUT")
        gst("mp4", f"fragmented-{p}", f"{v} ! {h264} ! mp4mux fragment-duration=200 ! filesink location=OUT")
        gst("mov", f"h264-{p}", f"{v} ! {h264} ! qtmux ! filesink location=OUT")
        gst("mov", f"jpeg-{p}", f"{v} ! jpegenc ! qtmux ! filesink location=OUT")
        gst("mov", f"raw-{p}", f"{v} ! videoconvert ! qtmux ! filesink location=OUT")
        gst("3gp", f"h264-{p}", f"{v} ! {h264} ! 3gppmux ! filesink location=OUT")
        gst("webm", f"vp8-{p}", f"{v} ! vp8enc deadline=1 ! webmmux ! filesink location=OUT")
        gst("webm", f"vp9-{p}", f"{v} ! videoconvert ! vp9enc deadline=1 ! webmmux streamable=true ! filesink location=OUT")
        gst("weba", f"opus-{p}", f"{a.replace('44100', '48000')} ! opusenc ! webmmux ! filesink location=OUT")
        gst("weba", f"vorbis-{p}", f"{a} ! audioconvert ! vorbisenc ! webmmux ! filesink location=OUT")
        gst("mkv", f"h264-{p}", f"{v} ! {h264} ! matroskamux ! filesink location=OUT")
        gst("mkv", f"flac-{p}", f"{a} ! flacenc ! matroskamux ! filesink location=OUT")
        gst("avi", f"jpeg-{p}", f"{v} ! jpegenc ! avimux ! filesink location=OUT")
        gst("avi", f"raw-{p}", f"{a} ! avimux ! filesink location=OUT")
        gst("avi", f"h264-{p}", f"{v} ! {h264} ! avimux ! filesink location=OUT")
        gst("ogv", f"theora-{p}", f"{v} ! videoconvert ! theoraenc ! oggmux ! filesink location=OUT")
        gst("ogg", f"vorbis-{p}", f"{a} ! audioconvert ! vorbisenc ! oggmux ! filesink location=OUT")
        gst("opus", f"opus-{p}", f"{a.replace('44100', '48000')} ! opusenc ! oggmux ! filesink location=OUT")
        gst("ogg", f"flac-{p}", f"{a} ! flacenc ! oggmux ! filesink location=OUT")
        gst("flac", f"flac-{p}", f"{a} ! flacenc ! filesink location=OUT")
        gst("wav", f"wav-{p}", f"{a} ! wavenc ! filesink location=OUT")
        gst("mp3", f"lame-{p}", f"{a} ! lamemp3enc target=bitrate bitrate=64 cbr=true ! filesink location=OUT")
        gst("mp3", f"tagged-{p}", f"{a} ! lamemp3enc ! xingmux ! id3v2mux ! filesink location=OUT")
        gst("flv", f"h264-{p}", f"{v} ! {h264} ! flvmux ! filesink location=OUT")
        gst("m4a", f"aac-{p}", f"{a} ! audioconvert ! voaacenc ! aacparse ! mp4mux ! filesink location=OUT")
        gst("m4a", f"alac-free-{p}", f"{a} ! lamemp3enc ! mpegaudioparse ! mp4mux ! filesink location=OUT")
        gst("aac", f"voaac-{p}", f"{a} ! audioconvert ! voaacenc ! aacparse ! audio/mpeg,stream-format=adts ! filesink location=OUT")
        gst("aiff", f"aiff-{p}", f"{a} ! audioconvert ! audio/x-raw,format=S16BE ! aiffmux ! filesink location=OUT")
        gst("jpg", f"jpeg-{p}", f"{v.replace('num-buffers=6', 'num-buffers=1')} ! jpegenc ! filesink location=OUT")
        gst("png", f"png-{p}", f"{v.replace('num-buffers=6', 'num-buffers=1')} ! videoconvert ! pngenc ! filesink location=OUT")
        gst("webp", f"webp-{p}", f"{v.replace('num-buffers=6', 'num-buffers=1')} ! videoconvert ! webpenc ! filesink location=OUT")


@maker("sox", "sox")
def by_sox(shelf):
    for at in range(3):
        source = shelf.seeds / f"s{at}.wav"
        for kind, name, how in (
            ("wav", "s16", []), ("wav", "s8", ["-b", "8"]), ("wav", "f32", ["-e", "floating-point", "-b", "32"]), ("wav", "ulaw", ["-e", "u-law"]), ("wav", "ima", ["-e", "ima-adpcm"]),
            ("mp3", "64k", ["-C", "64"]), ("ogg", "q3", ["-C", "3"]), ("flac", "c8", ["-C", "8"]), ("flac", "titled", ["--add-comment", "TITLE=é"]), ("aiff", "s16", []), ("aiff", "s24", ["-b", "24"]),
        ):
            shelf.make(kind, f"{name}-{at}", lambda path: run("sox", source, *how, path))
        shelf.make("amr", f"nb-{at}", lambda path: run("sox", source, "-r", "8000", "-c", "1", "-t", "amr-nb", path))
        for form in ("-B", "-L"):
            shelf.make("wav", f"rifx{form}-{at}", lambda path: run("sox", source, form, "-t", "wav", path))


@maker("lame", "lame")
def by_lame(shelf):
    for at in range(3):
        source = shelf.seeds / f"s{at}.wav"
        for name, how in (("cbr", ["-b", "64"]), ("vbr", ["-V", "6"]), ("bare", ["-t", "--noreplaygain"]), ("id3v1", ["--id3v1-only", "--tt", "T"]), ("id3v2", ["--id3v2-only", "--tt", "T" * 400, "--pad-id3v2"]), ("crc", ["-p"]), ("free", ["--freeformat", "-b", "160"])):
            if name == "free" and at:
                continue
            shelf.make("mp3", f"{name}-{at}", lambda path: run("lame", "--quiet", *how, source, path))


@maker("twolame", "twolame")
def by_twolame(shelf):
    for at in (0, 2):
        shelf.make("mp3", f"layer2-{at}", lambda path: run("twolame", "--quiet", shelf.seeds / f"s{at}.wav", path))


@maker("flac", "flac")
def by_flac(shelf):
    for at in range(3):
        for name, how in (("plain", ["-5"]), ("best", ["-8", "--no-padding"]), ("seek", ["-S", "10x", "-T", "ARTIST=é"]), ("big-blocks", ["-b", "4608", "--no-seektable"]), ("cover", ["--picture", shelf.seeds / "p4.png"])):
            shelf.make("flac", f"{name}-{at}", lambda path: run("flac", "--silent", *how, "-o", path, shelf.seeds / f"s{at}.wav"))
        shelf.make("ogg", f"flac-{at}", lambda path: run("flac", "--silent", "--ogg", "-o", path, shelf.seeds / f"s{at}.wav"))


@maker("vorbis-tools", "oggenc")
def by_oggenc(shelf):
    for at in range(3):
        for name, how in (("q1", ["-q", "1"]), ("q6", ["-q", "6", "-t", "T", "-a", "é"]), ("serial", ["-s", "77"]), ("mono", ["--downmix"] if at == 0 else [])):
            shelf.make("ogg", f"{name}-{at}", lambda path: run("oggenc", "-Q", *how, "-o", path, shelf.seeds / f"s{at}.wav"))


@maker("opus-tools", "opusenc")
def by_opusenc(shelf):
    for at in range(3):
        for name, how in (("24", ["--bitrate", "24"]), ("96", ["--bitrate", "96", "--title", "T"]), ("cbr", ["--hard-cbr"]), ("cover", ["--picture", shelf.seeds / "p0.png"])):
            shelf.make("opus", f"{name}-{at}", lambda path: run("opusenc", "--quiet", *how, shelf.seeds / f"s{at}.wav", path))


@maker("libsndfile")
def by_libsndfile(shelf):
    import soundfile

    for at in range(3):
        data, rate = soundfile.read(shelf.seeds / f"s{at}.wav")
        for kind, form, sub in (
            ("wav", "WAV", "PCM_16"), ("wav", "WAVEX", "PCM_24"), ("wav", "RF64", "PCM_16"), ("wav", "WAV", "FLOAT"), ("wav", "WAV", "MS_ADPCM"),
            ("flac", "FLAC", "PCM_16"), ("flac", "FLAC", "PCM_24"), ("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"), ("mp3", "MP3", "MPEG_LAYER_III"), ("aiff", "AIFF", "PCM_16"), ("aiff", "AIFF", "FLOAT"),
        ):
            shelf.make(kind, f"{form}-{sub}-{at}".lower(), lambda path: soundfile.write(path, data, 48000 if sub == "OPUS" else rate, format=form, subtype=sub))


@maker("python-wave")
def by_python_wave(shelf):
    for width in (1, 2, 3, 4):
        def write(path):
            with wave.open(str(path), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(width)
                sound.setframerate(16000)
                sound.writeframes(bytes(width * 800))
        shelf.make("wav", f"w{width}", write)


@maker("mutagen", "lame", "ffmpeg", "flac", "oggenc")
def by_mutagen(shelf):
    """Files of others, retagged."""
    import mutagen
    from mutagen import id3, mp4

    bare, song, plain, vorbis, adts = (shelf.scratch / f"in.{kind}" for kind in ("mp3", "m4a", "flac", "ogg", "aac"))
    run("lame", "--quiet", "-t", shelf.seeds / "s0.wav", bare)
    ffmpeg(song, *TONE, *AAC)
    run("flac", "--silent", "-f", "-o", plain, shelf.seeds / "s0.wav")
    run("oggenc", "-Q", "-o", vorbis, shelf.seeds / "s0.wav")
    ffmpeg(adts, *TONE, "-c:a", "aac")
    cover = (shelf.seeds / "p4.png").read_bytes()

    def tagged(path, source, version, picture=b"", padding=0):
        shutil.copyfile(source, path)
        tags = id3.ID3()
        tags.add(id3.TIT2(encoding=3, text="Naïve 東京"))
        if picture:
            tags.add(id3.APIC(encoding=0, mime="image/png", type=3, desc="c", data=picture))
        tags.save(path, v2_version=version, padding=lambda _: padding)

    for version in (3, 4):
        for name, picture, padding in (("short", b"", 0), ("padded", b"", 5000), ("cover", cover, 100), ("late", cover + bytes(90_000), 40000)):
            shelf.make("mp3", f"id3v2{version}-{name}", lambda path: tagged(path, bare, version, picture, padding))
    shelf.make("aac", "id3", lambda path: tagged(path, adts, 4))
    shelf.make("flac", "id3", lambda path: tagged(path, plain, 4))

    def song_tags(path, **fields):
        shutil.copyfile(song, path)
        tags = mp4.MP4(path)
        tags["\xa9nam"] = "Naïve"
        if fields:
            tags["covr"] = [mp4.MP4Cover(cover, mp4.MP4Cover.FORMAT_PNG)]
        tags.save()

    shelf.make("m4a", "title", song_tags)
    shelf.make("m4a", "cover", lambda path: song_tags(path, cover=True))

    def retag(path, source):
        shutil.copyfile(source, path)
        tags = mutagen.File(path)
        tags["title"] = "é" * 3000
        tags.save()

    shelf.make("flac", "title", lambda path: retag(path, plain))
    shelf.make("ogg", "title", lambda path: retag(path, vorbis))


@maker("atomicparsley", "AtomicParsley", "ffmpeg")
def by_atomicparsley(shelf):
    for kind, how in (("m4a", [*TONE, *AAC]), ("m4v", [*FILM, *H264]), ("mp4", [*FILM, *H264])):
        source = shelf.scratch / f"in.{kind}"
        ffmpeg(source, *how)
        for at, tags in enumerate((["--title", "T"], ["--artist", "A", "--year", "2001"], ["--artwork", shelf.seeds / "p0.png"])):
            shelf.make(kind, f"t{at}", lambda path: run("AtomicParsley", source, *tags, "-o", path))


@maker("mkvtoolnix", "mkvmerge", "ffmpeg")
def by_mkvtoolnix(shelf):
    film, vp9, sound, vorbis = (shelf.scratch / name for name in ("a.mp4", "b.webm", "c.flac", "d.ogg"))
    ffmpeg(film, *FILM, *H264)
    ffmpeg(vp9, *FILM, *VP9)
    ffmpeg(sound, *TONE)
    ffmpeg(vorbis, *TONE, "-c:a", "libvorbis")
    for name, how in (
        ("film", [film]), ("both", [film, sound]), ("sound", [sound]), ("titled", ["--title", "T" * 300, film]), ("attached", ["--attach-file", shelf.seeds / "p4.png", film]),
        ("void", ["--engage", "no_cue_duration", film]), ("clusters", ["--cluster-length", "2", film]), ("vp9", [vp9]),
    ):
        shelf.make("mkv", name, lambda path: run("mkvmerge", "-q", "--deterministic", "1", "-o", path, *how))
    for name, how in (("vp9", [vp9]), ("both", [vp9, vorbis]), ("titled", ["--title", "T" * 300, vp9]), ("no-cues", ["--no-cues", vp9]), ("clusters", ["--cluster-length", "2", vp9])):
        shelf.make("webm", name, lambda path: run("mkvmerge", "-q", "-w", "--deterministic", "1", "-o", path, *how))
    shelf.make("weba", "vorbis", lambda path: run("mkvmerge", "-q", "-w", "--deterministic", "1", "-o", path, vorbis))


@maker("pyav")
def by_pyav(shelf):
    """FFmpeg's libraries again, years newer than the program."""
    import av
    import numpy

    for kind, form, codec in (
        ("mp4", "mp4", "libx264"), ("mov", "mov", "libx264"), ("mkv", "matroska", "libx264"), ("webm", "webm", "libvpx"), ("avi", "avi", "mpeg4"), ("3gp", "3gp", "mpeg4"), ("m4v", "ipod", "libx264"), ("flv", "flv", "flv1"),
    ):
        for at in range(3):
            def film(path):
                with av.open(str(path), "w", format=form) as out:
                    stream = out.add_stream(codec, rate=10)
                    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                    for n in range(4):
                        frame = av.VideoFrame.from_ndarray(numpy.full((48, 64, 3), 40 * n + at, numpy.uint8), format="rgb24")
                        out.mux(stream.encode(frame))
                    out.mux(stream.encode())
            shelf.make(kind, f"f{at}", film)
    for kind, form, codec, rate in (
        ("m4a", "ipod", "aac", 44100), ("mp3", "mp3", "libmp3lame", 44100), ("aac", "adts", "aac", 44100), ("ogg", "ogg", "libvorbis", 44100), ("opus", "opus", "libopus", 48000),
        ("flac", "flac", "flac", 44100), ("wav", "wav", "pcm_s16le", 22050), ("aiff", "aiff", "pcm_s16be", 22050), ("weba", "webm", "libopus", 48000),
    ):
        for at, layout in enumerate(("mono", "stereo")):
            def sound(path):
                with av.open(str(path), "w", format=form) as out:
                    stream = out.add_stream(codec, rate=rate, layout=layout)
                    left = numpy.zeros((1, 4096 * (1 + at)), numpy.int16)
                    frame = av.AudioFrame.from_ndarray(left, format="s16", layout=layout)
                    frame.sample_rate = rate
                    out.mux(stream.encode(frame))
                    out.mux(stream.encode())
            shelf.make(kind, f"s{at}", sound)
