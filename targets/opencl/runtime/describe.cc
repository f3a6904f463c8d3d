#include <sstream>

#include "device.h"
#include "json.h"

namespace dlcc::opencl {

namespace {

std::string PlatformName(const Device& device) {
  char name[256] = {};
  cl.GetPlatformInfo(device.platform, CL_PLATFORM_NAME, sizeof(name) - 1, name, nullptr);
  return name;
}

const char* TypeName(cl_bitfield type) {
  if (type & CL_DEVICE_TYPE_GPU) return "gpu";
  if (type & CL_DEVICE_TYPE_ACCELERATOR) return "accelerator";
  return type & CL_DEVICE_TYPE_CPU ? "cpu" : "other";
}

// Sizes of sub-groups by the extensions that tell of them; empty where none does.
std::string SubGroupSizes(const Device& device, const std::string& extensions) {
  JsonList sizes;
  if (extensions.find("cl_intel_required_subgroup_size") != std::string::npos) {
    size_t found[16] = {};
    size_t bytes = 0;
    if (cl.GetDeviceInfo(device.id, CL_DEVICE_SUB_GROUP_SIZES_INTEL, sizeof(found), found,
                         &bytes) == CL_SUCCESS) {
      for (size_t i = 0; i < bytes / sizeof(size_t); ++i) sizes.Add(std::to_string(found[i]));
    }
  } else if (extensions.find("cl_nv_device_attribute_query") != std::string::npos) {
    sizes.Add(std::to_string(device.Fact<cl_uint>(CL_DEVICE_WARP_SIZE_NV, 32)));
  }
  return sizes.str();
}

std::string Describe(const Device& device) {
  JsonObject object;
  std::string extensions = device.Text(CL_DEVICE_EXTENSIONS);
  object.Add("name", device.name);
  object.Add("vendor", device.Text(CL_DEVICE_VENDOR));
  object.Add("type", TypeName(device.Fact<cl_bitfield>(CL_DEVICE_TYPE)));
  object.Add("version", device.version);
  object.Add("driver", device.driver);
  object.Add("platform", PlatformName(device));
  object.Add("compute_units", device.Fact<cl_uint>(CL_DEVICE_MAX_COMPUTE_UNITS));
  object.Add("clock_mhz", device.Fact<cl_uint>(CL_DEVICE_MAX_CLOCK_FREQUENCY));
  object.Add("global_bytes", device.global_bytes);
  object.Add("max_alloc_bytes", device.max_alloc_bytes);
  object.Add("local_bytes", device.Fact<cl_ulong>(CL_DEVICE_LOCAL_MEM_SIZE));
  bool dedicated = device.Fact<cl_uint>(CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL_IS_DEDICATED;
  object.Add("local_mem_type", dedicated ? "local" : "global");
  object.Add("max_work_group", device.max_work_group);
  JsonList sizes;
  for (size_t size : device.max_work_item_sizes) sizes.Add(std::to_string(size));
  object.Put("max_work_item_sizes", sizes.str());
  object.Add("preferred_vector_float",
             device.Fact<cl_uint>(CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT));
  object.Add("native_vector_float", device.Fact<cl_uint>(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT));
  size_t multiple = device.Fact<size_t>(CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE);
  if (multiple > 0) object.Add("preferred_work_group_multiple", multiple);
  object.Add("images", device.Fact<cl_bool>(CL_DEVICE_IMAGE_SUPPORT) != 0);
  JsonList listed;
  std::istringstream words(extensions);
  for (std::string word; words >> word;) listed.Add(JsonString(word));
  object.Put("extensions", listed.str());
  object.Add("fp16", extensions.find("cl_khr_fp16") != std::string::npos);
  object.Add("unified_memory", device.unified_memory);
  object.Put("subgroup_sizes", SubGroupSizes(device, extensions));
  return object.str();
}

}  // namespace

std::string DescribeDevices() {
  JsonList list;
  Devices& devices = Devices::Get();
  int count = devices.Count();
  for (int i = 0; i < count; ++i) list.Add(Describe(devices.At(i)));
  return list.str();
}

}  // namespace dlcc::opencl
