"""Retrievers for frameworks that people build on; each needs the framework's own package.

from seehear.connectors.langchain import SeehearRetriever      # extra `langchain`
from seehear.connectors.llama_index import SeehearRetriever    # extra `llama-index`
"""
