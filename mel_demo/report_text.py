"""The words of a screening's report, in English: plain text by key, never HTML.

A translation is a mapping with the same keys and, in each text, the same {placeholders}; numbers
come in already written. Knows no page and no screening (``screening_report``).
"""

from collections.abc import Mapping
from types import MappingProxyType

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        # The document's language (BCP 47), and how it writes numbers.
        "lang": "en",
        "decimal_point": ".",
        "thousands_separator": ",",
        "between": "{low}–{high}",
        "part_of": "{part} of {whole}",
        "under": "under {value}",
        "over": "over {value}",
        "undefined": "not defined",
        # Head of the page.
        "title": "Report of one melanoma screening",
        "written": "Written {time} (UTC)",
        "disclaimer_title": "Research demonstration, not a medical device.",
        "disclaimer": "It can be wrong either way, and must not be used to diagnose or to rule out "
        "anything. If a spot worries you, see a dermatologist, whatever this report says.",
        # What to call each model (by its key in the manifest), and each class.
        "role_teacher": "Teacher",
        "role_student": "Student",
        "role_student_int8": "Student INT8",
        "class_akiec": "Actinic keratosis or Bowen's disease",
        "class_bcc": "Basal cell carcinoma",
        "class_bkl": "Benign keratosis",
        "class_df": "Dermatofibroma",
        "class_mel": "Melanoma",
        "class_nv": "Melanocytic nevus (mole)",
        "class_vasc": "Vascular lesion",
        # The verdict of each model.
        "verdict_title": "Verdict",
        "probability": "melanoma probability",
        "threshold": "refers from {threshold}",
        "uncertain_band": "uncertain from {low} to {high}",
        "setting": "Set to catch {target} of melanomas.",
        # What about the image gives pause. Each finding's own text is the screening's.
        "findings_title": "About this image",
        "no_findings": "No warning about this image.",
        "severity_info": "Note",
        "severity_warning": "Warning",
        "severity_refusal": "No verdict",
        # The pictures.
        "pictures_title": "Image and evidence maps",
        "image_caption": "The image as judged",
        "image_alt": "The image that was judged",
        "map_caption": "{model}: what spoke for melanoma",
        "map_alt": "The image with the evidence map of the {model} over it",
        "map_legend": "Colours: least evidence to most; the calmer, the lower the probability. "
        "The darker margin was not judged. A map shows what a network weighed, not where disease "
        "is.",
        # What the setting yields.
        "measured_title": "What this setting yields",
        "measured": "Measured on {images} images of {lesions} lesions that no training saw "
        "(holdout), of which {melanomas} images of {melanoma_lesions} lesions show a melanoma.",
        "measured_head": "Holdout",
        "sensitivity": "Melanomas caught (sensitivity)",
        "specificity": "Other lesions rightly left alone (specificity)",
        "ppv": "Referrals that are melanoma (PPV)",
        "npv": "Lesions left alone that are not melanoma (NPV)",
        "prevalence_head": "Where {prevalence} of lesions are melanomas",
        "measured_note": "Counts are images; in brackets 95 % intervals, which take into account "
        "that several images may show one lesion. The threshold was chosen on other lesions "
        "(validation). PPV and NPV hold for the stated share of melanomas, and only as far as "
        "sensitivity and specificity stay what they were on holdout.",
        # The seven classes.
        "classes_title": "What else it could be",
        "classes_head": "Diagnosis",
        "classes_note": "Each model's shares add up to 100 %.",
        # Where the numbers come from.
        "models_title": "What judged it",
        "models_head": "Model",
        "architecture": "Architecture",
        "file": "File",
        "sha256": "SHA-256",
        "source_commit": "Trained at commit",
        "weights_created": "Weights of",
        "version": "mel_demo",
        "data": "Data",
        "data_value": "{name}, {licence}",
        "privacy": "This report was made in memory and not kept. It holds the picture but neither "
        "the file's name nor its metadata.",
    }
)
