"""Why a spiking network is worse than the trained one: layer by layer and cause by cause."""

from sc_neurocore.conversion.report.explanation import ConversionReport, LayerReport, report

__all__ = ["ConversionReport", "LayerReport", "report"]
